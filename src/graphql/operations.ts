// Metrics of what is executed: how long, by root field, and with what outcome.

import type {
  DocumentNode,
  GraphQLError,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
} from 'graphql'
import { getOperationAST, Kind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { ErrorCode } from '../errors.ts'
import type { Metrics, OperationOutcome } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { codeOf } from './errors.ts'

/** What it needs. */
export interface OperationMetricsOptions {
  readonly clock: Clock
  readonly metrics: Metrics
}

/** Times what is executed, by names of the schema only: a client's own names would create series without end. */
export function useOperationMetrics({ clock, metrics }: OperationMetricsOptions): Plugin {
  // A twentieth of a light request, if it were found out each time.
  const known = new WeakMap<OperationDefinitionNode, string>()
  return {
    onExecute({ args }) {
      const operation = getOperationAST(args.document, args.operationName)
      if (!operation) return undefined
      const field = known.get(operation) ?? rootField(args.document, operation)
      known.set(operation, field)
      const labels = { type: operation.operation, field }
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
