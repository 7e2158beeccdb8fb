// The requests that are sent, and the file in which wrk and client.ts are given them: one a line, sent in turn.

import { writeFileSync } from 'node:fs'

/** One request. {n} in a body becomes a number that no other request has. */
export interface RequestLine {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** As in `Authorization: Bearer …`. */
  readonly header?: string
  readonly body?: string
}

/** Writes requests for load.lua and client.ts. Returns the path. */
export function writeRequests(file: string, requests: readonly RequestLine[]): string {
  const lines = requests.map(({ method, path, header = '', body = '' }) =>
    [method, path, header, body].join('\t'),
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** Reads what `writeRequests` wrote. */
export function parseRequests(text: string): RequestLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [method, path = '/', header = '', body = ''] = line.split('\t')
      return { method: method === 'POST' ? 'POST' : 'GET', path, header, body }
    })
}

/** A GraphQL operation. */
export function operation(
  query: string,
  { token, variables }: { token?: string; variables?: Record<string, string> } = {},
): RequestLine {
  return {
    method: 'POST',
    path: '/graphql',
    body: JSON.stringify({ query, variables }),
    ...(token === undefined ? {} : { header: `Authorization: Bearer ${token}` }),
  }
}

/** Sends one, for what is not measured. Throws unless the status is good. */
export async function send(url: string, { method, path, header, body }: RequestLine) {
  const response = await fetch(url + path, {
    method,
    headers: headersOf(header),
    ...(body ? { body } : {}),
    // The edge's certificate was made for this run.
    tls: { rejectUnauthorized: false },
  })
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return response
}

/** The headers of a request, as `fetch` takes them. */
export function headersOf(header: string | undefined): Record<string, string> {
  const [, name, value] = /^([^:]+): (.*)$/.exec(header ?? '') ?? []
  return { 'content-type': 'application/json', ...(name && value ? { [name]: value } : {}) }
}
