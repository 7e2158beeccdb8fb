// Metrics of what is executed: how long, by root field, and with what outcome.

import type {
  DocumentNode,
  ExecutionResult,
  GraphQLError,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
} from 'graphql'
import { getOperationAST, Kind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { ErrorCode } from '../errors.ts'
import { ClientLeft } from '../errors.ts'
import type { Series } from '../observability/histogram.ts'
import type { Metrics, OperationOutcome } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { causeOf, codeOf } from './errors.ts'

/** What it needs. */
export interface OperationMetricsOptions {
  readonly clock: Clock
  readonly metrics: Metrics
}

/** Begins to time an operation of a document. Call what it returns with the result. Undefined if there is no such operation. */
export type OperationTimer = (
  document: DocumentNode,
  operationName: string | undefined,
) => ((result: ExecutionResult) => void) | undefined

/** Makes a timer, by names of the schema only: a client's own names would create series without end. */
export function createOperationTimer({ clock, metrics }: OperationMetricsOptions): OperationTimer {
  // Remembered: looking them up each time would cost a tenth of a light request.
  const known = new WeakMap<OperationDefinitionNode, Record<OperationOutcome, Series>>()
  return (document, operationName) => {
    const operation = getOperationAST(document, operationName)
    if (!operation) return undefined
    const series = known.get(operation) ?? seriesOf(document, operation)
    known.set(operation, series)
    const started = clock.elapsed()
    return (result) => series[outcomeOf(result)].observe((clock.elapsed() - started) / 1_000)
  }

  function seriesOf(document: DocumentNode, operation: OperationDefinitionNode) {
    const of = (outcome: OperationOutcome) =>
      metrics.operation(operation.operation, rootField(document, operation), outcome)
    return { ok: of('ok'), refused: of('refused'), failed: of('failed') }
  }
}

/** Times what Yoga executes. */
export function useOperationTimer(time: OperationTimer): Plugin {
  return {
    onExecute({ args }) {
      const end = time(args.document, args.operationName ?? undefined)
      // Neither streams nor deferred parts exist here.
      return end && { onExecuteDone: ({ result }) => end(result as ExecutionResult) }
    },
  }
}

const SEVERAL = '(several)'
const INTROSPECTION = '(introspection)'

/** Every root field that can be named, for `metrics.declareOperations`. */
export function rootFieldsOf(schema: GraphQLSchema): Array<{ type: string; field: string }> {
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

/** Only a fault of ours is `failed`: a wrong password is a right answer. */
function outcomeOf({ errors }: ExecutionResult): OperationOutcome {
  if (!errors?.length) return 'ok'
  return errors.some(isOurFault) ? 'failed' : 'refused'
}

function isOurFault(error: GraphQLError): boolean {
  return OUR_FAULTS.has(codeOf(error)) && !(causeOf(error) instanceof ClientLeft)
}

const OUR_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'INTERNAL_SERVER_ERROR',
  'SERVICE_UNAVAILABLE',
  'OVERLOADED',
])
