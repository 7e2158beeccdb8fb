// How large and how tangled an operation may be, decided before GraphQL looks at it.
// Fragments are measured once each: ten that contain each other twice would expand to a thousand.

import type { DocumentNode, FragmentDefinitionNode, GraphQLSchema, SelectionSetNode } from 'graphql'
import { GraphQLError, Kind, visit } from 'graphql'
import { AuthError } from '../errors.ts'

/** How much a document may hold: tokens, levels of fields, aliases; and fields that check credentials, fragments expanded. */
export const LIMITS = { tokens: 1_000, depth: 8, aliases: 15, credentialFields: 1 } as const

/** A name from the table, as `extensions.limit` shows it. */
export type LimitName = keyof typeof LIMITS

/** The most fields with fields in them. GraphQL compares each, contents included, with all others of its name: 250 took 12 ms. */
const MOST_BRANCHES = 60

/** The error for one limit. */
export function tooComplex(limit: LimitName): GraphQLError {
  return new GraphQLError(limit, { originalError: new AuthError('QUERY_TOO_COMPLEX', { limit }) })
}

/** The limit that a document exceeds, or null. The parser counts tokens; `tokens` here means too many fields with fields in them. */
export function exceededLimit(document: DocumentNode, schema: GraphQLSchema): LimitName | null {
  const { depth, credentialFields } = createMeasure(document, schema)
  const operations = document.definitions.flatMap((d) =>
    d.kind === Kind.OPERATION_DEFINITION ? [d.selectionSet] : [],
  )
  const { aliases, branches } = countFields(document)
  if (aliases > LIMITS.aliases) return 'aliases'
  if (operations.some((set) => depth(set) > LIMITS.depth)) return 'depth'
  if (operations.some((set) => credentialFields(set) > LIMITS.credentialFields))
    return 'credentialFields'
  if (branches > MOST_BRANCHES) return 'tokens'
  return null
}

/** Counts in the text, fragments not expanded: an alias costs what its field costs, which depth and tokens bound. */
function countFields(document: DocumentNode): { aliases: number; branches: number } {
  let [aliases, branches] = [0, 0]
  visit(document, {
    Field({ alias, selectionSet }) {
      if (alias) aliases += 1
      if (selectionSet) branches += 1
    },
  })
  return { aliases, branches }
}

function createMeasure(document: DocumentNode, schema: GraphQLSchema) {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const d of document.definitions)
    if (d.kind === Kind.FRAGMENT_DEFINITION) fragments.set(d.name.value, d)
  const mutations = schema.getMutationType()?.getFields() ?? {}

  // Introspection has a rule of its own (MaxIntrospectionDepthRule), so that the queries of tools pass.
  const depth = folded((selections) =>
    Math.max(
      0,
      ...selections.map(({ name, below }) =>
        name === undefined ? below : name.startsWith('__') ? 0 : 1 + below,
      ),
    ),
  )
  // Only root fields check credentials, so what is below a field does not count.
  const credentialFields = folded((selections) =>
    selections.reduce(
      (sum, { name, below }) =>
        sum +
        (name === undefined
          ? below
          : Number(mutations[name]?.extensions['checksCredentials'] === true)),
      0,
    ),
  )
  return { depth, credentialFields }

  /** Folds a selection set from its leaves; each fragment once, a cycle counts as nothing (validation refuses it). */
  function folded(
    combine: (selections: Array<{ name: string | undefined; below: number }>) => number,
  ) {
    const known = new Map<string, number>()
    return function measure(set: SelectionSetNode): number {
      return combine(
        set.selections.map((selection) => {
          if (selection.kind === Kind.FIELD)
            return {
              name: selection.name.value,
              below: selection.selectionSet ? measure(selection.selectionSet) : 0,
            }
          if (selection.kind === Kind.INLINE_FRAGMENT)
            return { name: undefined, below: measure(selection.selectionSet) }
          return { name: undefined, below: fragment(selection.name.value) }
        }),
      )

      function fragment(name: string): number {
        const definition = fragments.get(name)
        if (!known.has(name)) {
          known.set(name, 0)
          if (definition) known.set(name, measure(definition.selectionSet))
        }
        return known.get(name) ?? 0
      }
    }
  }
}
