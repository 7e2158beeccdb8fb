// The gate: whatever was thrown becomes a coded error or `INTERNAL_SERVER_ERROR`. graphql-js's own texts for wrong
// values, coercion and syntax echo what was sent, a password perhaps; they are replaced. Names may stay.

import type { GraphQLError } from 'graphql'
import { Kind } from 'graphql'
import type { ErrorCode, ErrorDetails, Language } from '../errors.ts'
import { AuthError, messageOf } from '../errors.ts'
import type { Log } from '../observability/log.ts'
import { describeError } from '../observability/log.ts'
import type { WireError } from './response.ts'

/** What the gate needs to know of a request. */
export interface GateContext {
  readonly language: Language
  readonly requestId: string
  readonly log: Log
}

/** Translates one error of a result. What nobody expected is logged, once, without its message. */
export function toWireError(
  error: GraphQLError,
  { language, requestId, log }: GateContext,
): WireError {
  const { code, details, hint } = classify(error)
  if (code === 'INTERNAL_SERVER_ERROR')
    log.error('request.failed', {
      ...describeError(causeOf(error)),
      path: (error.path ?? []).join('.'),
    })
  const message = hint ? `${messageOf(code, language)} ${hint}` : messageOf(code, language)
  return {
    message,
    ...(error.locations ? { locations: error.locations } : {}),
    ...(error.path ? { path: error.path } : {}),
    extensions: { code, ...details, requestId },
  }
}

/** The code that an error leaves with. */
export function codeOf(error: GraphQLError): ErrorCode {
  return classify(error).code
}

interface Classified {
  readonly code: ErrorCode
  readonly details: ErrorDetails
  /** A sentence of graphql-js that holds names only. */
  readonly hint?: string
}

function classify(error: GraphQLError): Classified {
  const cause = causeOf(error)
  if (cause instanceof AuthError) return { code: cause.code, details: cause.details }
  if (error.extensions['code'] === 'GRAPHQL_VALIDATION_FAILED')
    return { code: 'GRAPHQL_VALIDATION_FAILED', details: {}, hint: error.message }
  if (error.extensions['code'] === 'OPERATION_RESOLUTION_FAILURE')
    return { code: 'BAD_USER_INPUT', details: { field: 'operationName' } }
  // After fifty errors in variables graphql-js gives up on the others, and says so in an error without a node.
  if (error.message.startsWith('Too many errors processing variables'))
    return { code: 'BAD_USER_INPUT', details: { field: 'variables' } }
  return badValue(error) ?? { code: 'INTERNAL_SERVER_ERROR', details: {} }
}

/** graphql-js itself refused a variable or an argument at execution. Its message has the value, its node the name. */
function badValue(error: GraphQLError): Classified | null {
  const node = error.nodes?.[0]
  if (node?.kind === Kind.VARIABLE_DEFINITION)
    return { code: 'BAD_USER_INPUT', details: { field: node.variable.name.value } }
  if (node?.kind === Kind.ARGUMENT || node?.kind === Kind.VARIABLE)
    return { code: 'BAD_USER_INPUT', details: { field: node.name.value } }
  return null
}

/** The error that was thrown first, however often GraphQL wrapped it. */
export function causeOf(error: GraphQLError): unknown {
  let cause: Error & { originalError?: Error | undefined } = error
  while (cause.originalError) cause = cause.originalError
  return cause
}
