// The Yoga server. Reading the request and writing the answer are ours (request.ts, response.ts); between them Yoga
// parses, validates and executes, with our limits, and every error passes our gate.

import type {
  DocumentNode,
  GraphQLError,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
} from 'graphql'
import { getOperationAST, Kind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { createYoga } from 'graphql-yoga'
import type { ErrorCode, Language } from '../errors.ts'
import type { Log } from '../observability/log.ts'
import type { Metrics, OperationOutcome } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Client, Context } from './context.ts'
import { createDocumentCache, createValidate, parseDocument } from './documents.ts'
import { codeOf, toWireError } from './errors.ts'
import type { LimitName } from './limits.ts'
import type { GraphQLParams } from './request.ts'
import type { AnswerTo, WireError, WireResult } from './response.ts'
import { answer } from './response.ts'

/** What the server is made from. */
export interface GraphQLServerOptions {
  readonly schema: GraphQLSchema
  readonly language: Language
  readonly introspection: boolean
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Told who asked for several fields that check credentials at once. Nothing of such a request is executed. */
  readonly onCredentialFlood: (client: Client) => Promise<void>
}

/** One request, read: what to execute, for whom, and how to answer. */
export interface Operation extends Context {
  readonly params: GraphQLParams
  readonly answerTo: AnswerTo
}

/** Executes operations. Never throws: every failure is an answer. */
export type GraphQLServer = (operation: Operation) => Promise<Response>

/** Makes the server. */
export function createGraphQLServer(options: GraphQLServerOptions): GraphQLServer {
  const { schema, language, metrics, onCredentialFlood } = options
  // By their client, made anew for each request: Yoga hands on a copy of the operation.
  const floods = new WeakSet<Client>()
  metrics.declareOperations(rootFieldsOf(schema))
  const yoga = createYoga<Operation>({
    schema,
    logging: false,
    landingPage: false,
    graphiql: false,
    cors: false,
    multipart: false,
    batching: false,
    healthCheckEndpoint: HEALTH_CHECK_NOWHERE,
    // The gate is toWireError: it sees the original errors.
    maskedErrors: false,
    parserAndValidationCache: { documentCache: createDocumentCache(), errorCache: FORGETFUL },
    plugins: [useRead(), useDocuments(options), useOperationMetrics(options), useAnswer(options)],
  })
  return async (operation) => {
    // Only what the engine needs: the body has been read, and everything else about the request is in `operation`.
    const bare = new Request('http://munjigi/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    const response = await yoga.fetch(bare, operation)
    if (floods.has(operation.client)) await onCredentialFlood(operation.client)
    return response
  }

  function useAnswer({ log }: GraphQLServerOptions): Plugin<object, Operation> {
    return {
      onResultProcess({ result, setResultProcessor, serverContext }) {
        // Neither batches nor streams exist here.
        const { data, errors } = result as { data?: unknown; errors?: readonly GraphQLError[] }
        const gate = { language, requestId: serverContext.client.requestId, log }
        const wire: WireResult = {
          ...(errors?.length ? { errors: errors.map((error) => toWireError(error, gate)) } : {}),
          ...(data === undefined ? {} : { data }),
        }
        if (wire.errors?.some(isCredentialFlood)) floods.add(serverContext.client)
        setResultProcessor(() => answer(wire, serverContext.answerTo), serverContext.answerTo.type)
      },
    }
  }
}

/** Yoga answers this path itself; ours are in http/. */
const HEALTH_CHECK_NOWHERE = '/-'

/** A text that does not parse may be anything, a password included: it is not kept. */
const FORGETFUL = { get: () => undefined, set: () => {} }

/** Hands Yoga the envelope that was read before. */
function useRead(): Plugin<object, Operation> {
  return {
    onRequestParse({ serverContext, setRequestParser }) {
      setRequestParser(() => ({ ...serverContext.params }))
    },
  }
}

function useDocuments({ introspection }: GraphQLServerOptions): Plugin<object, Operation> {
  const validate = createValidate({ introspection })
  return {
    onParse: ({ setParseFn }) => setParseFn(parseDocument),
    onValidate: ({ setValidationFn }) => setValidationFn(validate),
  }
}

/** Times what is executed, by names of the schema only: a client's own names would create series without end. */
function useOperationMetrics({ clock, metrics }: GraphQLServerOptions): Plugin<object, Operation> {
  return {
    onExecute({ args }) {
      const operation = getOperationAST(args.document, args.operationName)
      if (!operation) return undefined
      const labels = { type: operation.operation, field: rootField(args.document, operation) }
      const started = clock.elapsed()
      return {
        onExecuteDone: ({ result }) =>
          metrics.observeOperation(
            { ...labels, outcome: outcomeOf(result) },
            (clock.elapsed() - started) / 1_000,
          ),
      }
    },
  }
}

const SEVERAL = '(several)'
const INTROSPECTION = '(introspection)'

function rootFieldsOf(schema: GraphQLSchema): Array<{ type: string; field: string }> {
  const of = (type: string, fields: object) =>
    [...Object.keys(fields), SEVERAL, INTROSPECTION].map((field) => ({ type, field }))
  return [
    ...of('query', schema.getQueryType()?.getFields() ?? {}),
    ...of('mutation', schema.getMutationType()?.getFields() ?? {}),
  ]
}

function rootField(document: DocumentNode, operation: OperationDefinitionNode): string {
  const names = new Set(rootNames(document, operation.selectionSet, new Set()))
  const [name = SEVERAL] = names
  if (names.size > 1) return SEVERAL
  return name.startsWith('__') ? INTROSPECTION : name
}

function rootNames(document: DocumentNode, set: SelectionSetNode, seen: Set<string>): string[] {
  return set.selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection.name.value]
    if (selection.kind === Kind.INLINE_FRAGMENT)
      return rootNames(document, selection.selectionSet, seen)
    if (seen.has(selection.name.value)) return []
    seen.add(selection.name.value)
    const fragment = document.definitions.find(
      (d) => d.kind === Kind.FRAGMENT_DEFINITION && d.name.value === selection.name.value,
    )
    return fragment?.kind === Kind.FRAGMENT_DEFINITION
      ? rootNames(document, fragment.selectionSet, seen)
      : []
  })
}

/** Refused because it tried several credentials at once. */
function isCredentialFlood({ extensions }: WireError): boolean {
  return extensions.limit === ('credentialFields' satisfies LimitName)
}

/** Only a fault of ours is `failed`: a wrong password is a right answer. */
function outcomeOf(result: unknown): OperationOutcome {
  const errors =
    typeof result === 'object' && result !== null && 'errors' in result
      ? (result.errors as readonly GraphQLError[] | undefined)
      : undefined
  if (!errors?.length) return 'ok'
  return errors.some((error) => OUR_FAULTS.has(codeOf(error))) ? 'failed' : 'refused'
}

const OUR_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'INTERNAL_SERVER_ERROR',
  'SERVICE_UNAVAILABLE',
  'OVERLOADED',
])
