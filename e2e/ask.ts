// A client that takes everything as it comes: what was asked, and the whole answer.

/** A GraphQL answer. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The body as it came. */
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test names the path it expects
  readonly data: any
  readonly errors: ReadonlyArray<{ extensions: Readonly<Record<string, unknown>> }>
  /** Of the first error. */
  readonly code: unknown
}

/** What goes along with an operation. */
export interface Asking {
  readonly variables?: Readonly<Record<string, unknown>>
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** The certificate that is trusted, as PEM: of the edge, which made its own. */
  readonly ca?: string
  readonly signal?: AbortSignal
}

/** Sends an operation to the server at `url`, as a client that understands statuses. */
export async function ask(url: string, query: string, asking: Asking = {}): Promise<Answer> {
  const { variables, token, ca, signal } = asking
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...asking.headers,
    },
    body: JSON.stringify({ query, variables }),
    ...(ca === undefined ? {} : { tls: { ca } }),
    ...(signal ? { signal } : {}),
  })
  const text = await response.text()
  const { data, errors = [] } = JSON.parse(text)
  const { status, headers } = response
  return { status, headers, text, data, errors, code: errors[0]?.extensions.code }
}
