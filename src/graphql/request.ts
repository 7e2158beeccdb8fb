// A GraphQL-over-HTTP request, read by ourselves before the engine sees anything: what is refused unread, the body up to its
// limit, the envelope. Only POST with application/json executes; forms and text would let other sites in (CSRF).

import { AuthError } from '../errors.ts'
import { isObject, parseJson } from '../platform/json.ts'
import { textOf } from '../platform/utf8.ts'

/** The envelope of a request (GraphQL over HTTP §5). */
export interface GraphQLParams {
  readonly query: string
  readonly operationName?: string
  readonly variables?: Record<string, unknown>
}

/** Largest body, in bytes. */
const MAX_BODY_BYTES = 100 * 1024

/** Reads a request. Throws `METHOD_NOT_ALLOWED`, `UNSUPPORTED_MEDIA_TYPE`, `PAYLOAD_TOO_LARGE` or `BAD_USER_INPUT`. */
export async function readGraphQLRequest(request: Request): Promise<GraphQLParams> {
  if (request.method !== 'POST') throw new AuthError('METHOD_NOT_ALLOWED')
  if (!isPlainJson(request.headers)) throw new AuthError('UNSUPPORTED_MEDIA_TYPE')
  return parseEnvelope(decode(await readBody(request)))
}

/** Exactly JSON in UTF-8, not compressed: `text/plain; x=application/json` is not. */
function isPlainJson(headers: Headers): boolean {
  const type = headers.get('content-type') ?? ''
  const encoding = headers.get('content-encoding')
  return (
    (type === 'application/json' || isJsonInUtf8(type)) &&
    (encoding === null || encoding.toLowerCase() === 'identity')
  )
}

function isJsonInUtf8(contentType: string): boolean {
  const [type, ...parameters] = contentType
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))
  return (
    type === 'application/json' && (charset === undefined || /^charset="?utf-8"?$/.test(charset))
  )
}

/** Reads the body, up to its limit. A client that breaks off is at fault, and nobody is left to read the answer. */
async function readBody(request: Request): Promise<Uint8Array> {
  const length = request.headers.get('content-length')
  if (Number(length ?? 0) > MAX_BODY_BYTES) throw new AuthError('PAYLOAD_TOO_LARGE')
  try {
    // Read at once where its length is known: as a stream it would take an eighth of the cost of a light request.
    return length === null ? await readStream(request) : await request.bytes()
  } catch (error) {
    throw error instanceof AuthError ? error : new AuthError('BAD_USER_INPUT', { field: 'body' })
  }
}

/** Reads until the end or the limit, whichever comes first: a body without a length may never end. */
async function readStream(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_BODY_BYTES) throw new AuthError('PAYLOAD_TOO_LARGE')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Bytes that are not UTF-8 are refused, not guessed at. So is a byte order mark: it is kept, and is not JSON. */
function decode(body: Uint8Array): unknown {
  try {
    return parseJson(textOf(body))
  } catch {
    throw new AuthError('BAD_USER_INPUT', { field: 'body' })
  }
}

/** Properties beyond the four of the specification are ignored; batches (arrays) are not an envelope. */
function parseEnvelope(body: unknown): GraphQLParams {
  if (!isObject(body)) throw new AuthError('BAD_USER_INPUT', { field: 'body' })
  const { query, operationName, variables, extensions } = body
  if (typeof query !== 'string') throw new AuthError('BAD_USER_INPUT', { field: 'query' })
  if (!isAbsent(operationName) && typeof operationName !== 'string')
    throw new AuthError('BAD_USER_INPUT', { field: 'operationName' })
  if (!isAbsent(variables) && !isObject(variables))
    throw new AuthError('BAD_USER_INPUT', { field: 'variables' })
  if (!isAbsent(extensions) && !isObject(extensions))
    throw new AuthError('BAD_USER_INPUT', { field: 'extensions' })
  return {
    query,
    ...(isAbsent(operationName) ? {} : { operationName }),
    ...(isAbsent(variables) ? {} : { variables }),
  }
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null
}
