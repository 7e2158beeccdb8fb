// The Yoga server. Reading the request and writing the answer are ours (request.ts, response.ts); between them Yoga
// parses, validates and executes, with our limits, and every error passes our gate. What Yoga has accepted once, the
// short lane (lane.ts) executes from then on.

import type { ExecutionResult, GraphQLSchema } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { createYoga } from 'graphql-yoga'
import type { Language } from '../errors.ts'
import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Client, Operation } from './context.ts'
import type { AcceptedTexts } from './documents.ts'
import { createAcceptedTexts, createValidate, parseDocument } from './documents.ts'
import { toWireError } from './errors.ts'
import { createLane, useAccepted } from './lane.ts'
import type { LimitName } from './limits.ts'
import { createOperationTimer, rootFieldsOf, useOperationTimer } from './operations.ts'
import type { WireError, WireResult } from './response.ts'
import { answer } from './response.ts'

/** What the server is made from. */
export interface GraphQLServerOptions {
  readonly schema: GraphQLSchema
  readonly language: Language
  readonly introspection: boolean
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Called with a client that asked for several credential-checking fields at once. Nothing of such a request is executed. */
  readonly onCredentialFlood: (client: Client) => Promise<void>
  /** What the short lane knows; a memory that keeps nothing leaves everything to Yoga. */
  readonly accepted?: AcceptedTexts
}

/** Executes operations. Never throws: every failure is an answer. */
export type GraphQLServer = (operation: Operation) => Promise<Response>

/** Makes the server. */
export function createGraphQLServer(options: GraphQLServerOptions): GraphQLServer {
  const { schema, metrics, accepted = createAcceptedTexts() } = options
  metrics.declareOperations(rootFieldsOf(schema))
  const answerWith = createAnswer(options)
  const time = createOperationTimer(options)
  const yoga = createYoga<Operation>({
    schema,
    logging: false,
    landingPage: false,
    graphiql: false,
    cors: false,
    multipart: false,
    batching: false,
    // The gate is toWireError: it sees the original errors.
    maskedErrors: false,
    // The lane remembers valid texts. An invalid one may be anything, a password included: it is not kept.
    parserAndValidationCache: false,
    plugins: [useOurs(options, answerWith), useAccepted(accepted), useOperationTimer(time)],
  })
  const lane = createLane({ schema, accepted, time })

  return async (operation) => {
    const result = lane(operation)
    if (result) return answerWith(await result, operation)
    // Only what the engine needs: the body has been read, and everything else about the request is in `operation`.
    const bare = new Request('http://munjigi/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    return await yoga.fetch(bare, operation)
  }
}

type AnswerWith = (result: ExecutionResult, operation: Operation) => Response | Promise<Response>

/** Turns results into answers, whichever way they came; every error passes the gate. Tells who floods. */
function createAnswer({ language, log, onCredentialFlood }: GraphQLServerOptions): AnswerWith {
  return ({ data, errors }, { client, answerTo }) => {
    const gate = { language, requestId: client.requestId, log }
    const wire: WireResult = {
      ...(errors?.length ? { errors: errors.map((error) => toWireError(error, gate)) } : {}),
      ...(data === undefined ? {} : { data }),
    }
    const response = answer(wire, answerTo)
    if (!wire.errors?.some(isCredentialFlood)) return response
    return onCredentialFlood(client).then(() => response)
  }
}

/** Refused because it tried several credentials at once. */
function isCredentialFlood({ extensions }: WireError): boolean {
  return extensions.limit === ('credentialFields' satisfies LimitName)
}

/** The steps of a request in Yoga that are ours, in their order. */
function useOurs(
  { introspection }: GraphQLServerOptions,
  answerWith: AnswerWith,
): Plugin<object, Operation> {
  const validate = createValidate({ introspection })
  return {
    // We have read the envelope already.
    onRequestParse: ({ serverContext, setRequestParser }) =>
      setRequestParser(() => ({ ...serverContext.params })),
    onParse: ({ setParseFn }) => setParseFn(parseDocument),
    onValidate: ({ setValidationFn }) => setValidationFn(validate),
    onResultProcess: ({ result, setResultProcessor, serverContext }) =>
      setResultProcessor(
        // Neither batches nor streams exist here.
        () => answerWith(result as ExecutionResult, serverContext),
        serverContext.answerTo.type,
      ),
  }
}
