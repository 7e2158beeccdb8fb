// Answers as GraphQL over HTTP: which status, which type, which headers go with which errors.
// A client that names `application/graphql-response+json` gets statuses; all others get 200 with the same errors.

import type { ErrorCode, ErrorDetails, Language } from '../errors.ts'
import { ERRORS, messageOf } from '../errors.ts'
import { SECURITY_HEADERS } from '../platform/security-headers.ts'

/** The two types that answers have. */
export type AnswerType = 'application/graphql-response+json' | 'application/json'

/** An error as clients see it. */
export interface WireError {
  readonly message: string
  readonly locations?: unknown
  readonly path?: unknown
  readonly extensions: { readonly code: ErrorCode; readonly requestId: string } & ErrorDetails
}

/** A result as clients see it: `data` is absent if nothing was executed. */
export interface WireResult {
  readonly data?: unknown
  readonly errors?: readonly WireError[]
}

/** What an answer depends on besides its result. */
export interface AnswerTo {
  readonly type: AnswerType
  /** Whether the request carried a bearer token (RFC 6750 §3.1). */
  readonly tokenSent: boolean
}

/** The type that the `Accept` header asks for, weights honoured (RFC 9110 §12.5.1). Whoever allows neither gets JSON. */
export function answerType(accept: string | null): AnswerType {
  // Most programs send none, or `*/*`.
  if (accept === null || accept === '*/*') return 'application/json'
  const ranges = accept
    .toLowerCase()
    .split(',')
    // Not with a pattern that takes the spaces too: on a header of nothing but spaces it takes quadratic time.
    .map((range) => range.split(';').map((part) => part.trim()))
  const response = weight(ranges, 'application/graphql-response+json')
  return response > 0 && response >= weight(ranges, 'application/json')
    ? 'application/graphql-response+json'
    : 'application/json'
}

function weight(ranges: readonly string[][], type: string): number {
  const range = ranges.find(([name]) => name === type)
  if (!range) return 0
  const q = Number(range.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
  return Number.isNaN(q) ? 0 : q
}

/** The answer to a well-formed GraphQL request. */
export function answer(result: WireResult, to: AnswerTo): Response {
  const failing = result.data == null ? result.errors?.find(hasFailingStatus) : undefined
  const statuses = to.type === 'application/graphql-response+json'
  const status =
    failing && (statuses || isMalformed(failing)) ? ERRORS[failing.extensions.code].status : 200
  // GraphQL over HTTP: an answer with 4xx or 5xx has no `data` entry.
  const body = status >= 400 ? { errors: result.errors } : result
  return new Response(JSON.stringify(body), {
    status,
    headers: result.errors ? headersFor(result.errors, to) : HEADERS[to.type],
  })
}

/** A refusal before or outside GraphQL, in the same shape. Whatever was asked for, its type is the one whose codes Apollo shows. */
export function refuse(
  code: ErrorCode,
  details: ErrorDetails,
  { language, requestId }: { language: Language; requestId: string },
): Response {
  const error = { message: messageOf(code, language), extensions: { code, ...details, requestId } }
  const to: AnswerTo = { type: 'application/graphql-response+json', tokenSent: false }
  return answer({ errors: [error] }, to)
}

function hasFailingStatus({ extensions }: WireError): boolean {
  return ERRORS[extensions.code].status >= 400
}

/** A fault of the request around the document has no location in it, and is 400 for every client. */
function isMalformed({ extensions, locations }: WireError): boolean {
  return extensions.code === 'BAD_USER_INPUT' && locations === undefined
}

/** The headers of every answer of a type. Copying them into a response costs a fifth of setting them one by one. */
const HEADERS = {
  'application/json': headersOf('application/json'),
  'application/graphql-response+json': headersOf('application/graphql-response+json'),
} as const satisfies Record<AnswerType, Headers>

function headersOf(type: AnswerType): Headers {
  return new Headers({ 'content-type': `${type}; charset=utf-8`, ...SECURITY_HEADERS })
}

function headersFor(errors: readonly WireError[], { type, tokenSent }: AnswerTo): Headers {
  const headers = new Headers(HEADERS[type])
  for (const { extensions } of errors) {
    if (extensions.retryAfter !== undefined)
      headers.set('retry-after', String(extensions.retryAfter))
    if (extensions.code === 'UNAUTHENTICATED')
      headers.set('www-authenticate', tokenSent ? 'Bearer error="invalid_token"' : 'Bearer')
    if (extensions.code === 'METHOD_NOT_ALLOWED') headers.set('allow', 'POST')
  }
  return headers
}
