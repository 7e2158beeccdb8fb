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
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends an operation to the server at `url`, as a client that understands statuses. */
export async function ask(url: string, query: string, asking: Asking = {}): Promise<Answer> {
  const { variables, token, headers } = asking
  return await post(url, JSON.stringify({ query, variables }), {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...headers,
  })
}

/** Sends a body, whatever it is. */
export async function post(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...headers,
    },
    body,
  })
  const text = await response.text()
  const { data, errors = [] } = JSON.parse(text)
  const { status } = response
  return { status, headers: response.headers, text, data, errors, code: errors[0]?.extensions.code }
}
