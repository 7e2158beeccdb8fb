// How large and how tangled an operation may be, decided before GraphQL looks at it.
// Fragments are measured once each: ten that contain each other twice would expand to a thousand.

import type { DocumentNode, GraphQLSchema, SelectionSetNode } from 'graphql'
import { GraphQLError, getNullableType, isListType, Kind, OperationTypeNode, visit } from 'graphql'
import { AuthError } from '../errors.ts'

/** How much a document may hold: tokens, levels of fields, aliases; and fields that check credentials, fragments expanded. */
export const LIMITS = { tokens: 1_000, depth: 8, aliases: 15, credentialFields: 1 } as const

/** A name from the table, as `extensions.limit` shows it. */
export type LimitName = keyof typeof LIMITS

/** The most fields with fields in them. GraphQL compares each, contents included, with all others of its name: 250 took 12 ms. */
const MOST_BRANCHES = 60
/** The most fields of a mutation: each may write. With one login there are four without an alias. */
const MOST_MUTATIONS = 5
/** The most lists that a query asks for: sixteen times a hundred sessions were 700 KB, made in 9 ms, for 1 KB of question. */
const MOST_LISTS = 2
/** The most line breaks. GraphQL counts those before an error, for each one anew: fifty errors below 50,000 took 117 ms. */
const MOST_LINE_BREAKS = LIMITS.tokens

/** The error for one limit. */
export function tooComplex(limit: LimitName): GraphQLError {
  return new GraphQLError(limit, { originalError: new AuthError('QUERY_TOO_COMPLEX', { limit }) })
}

/** Whether a text has more lines than its tokens need; to be asked before it is parsed. */
export function hasTooManyLines(text: string): boolean {
  let breaks = 0
  for (const _ of text.matchAll(/\r\n|[\n\r]/g)) {
    breaks += 1
    if (breaks > MOST_LINE_BREAKS) return true
  }
  return false
}

/** The limit that a document exceeds, or null. The parser counts tokens; `tokens` here means too many fields with fields in them. */
export function exceededLimit(document: DocumentNode, schema: GraphQLSchema): LimitName | null {
  const fragments = fragmentsOf(document)
  const depth = folded(fragments, deepest)
  const credentialFields = folded(fragments, rootFieldsThat(checkCredentials(schema)))
  const lists = folded(fragments, rootFieldsThat(giveLists(schema)))
  const rootFields = folded(
    fragments,
    rootFieldsThat(() => true),
  )
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION)
  const sets = operations.map(({ selectionSet }) => selectionSet)
  const { aliases, branches } = countFields(document)
  if (aliases > LIMITS.aliases) return 'aliases'
  if (sets.some((set) => depth(set) > LIMITS.depth)) return 'depth'
  if (sets.some((set) => credentialFields(set) > LIMITS.credentialFields)) return 'credentialFields'
  const mutations = operations.filter(({ operation }) => operation === OperationTypeNode.MUTATION)
  if (mutations.some(({ selectionSet }) => rootFields(selectionSet) > MOST_MUTATIONS))
    return 'aliases'
  if (sets.some((set) => lists(set) > MOST_LISTS)) return 'aliases'
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

function fragmentsOf({ definitions }: DocumentNode): Fragments {
  const fragments = new Map<string, SelectionSetNode>()
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION)
      fragments.set(definition.name.value, definition.selectionSet)
  return fragments
}

type Fragments = ReadonlyMap<string, SelectionSetNode>

/** A field, or a fragment, which has no name here. `below`: the measure of what it contains. */
interface Measured {
  readonly name?: string
  readonly below: number
}

/** Measures selection sets from their leaves; each fragment once. A cycle counts as nothing: validation refuses it. */
function folded(fragments: Fragments, combine: (selections: readonly Measured[]) => number) {
  const known = new Map<string, number>()
  return measure

  function measure({ selections }: SelectionSetNode): number {
    return combine(
      selections.map((selection) => {
        if (selection.kind === Kind.FRAGMENT_SPREAD)
          return { below: measureFragment(selection.name.value) }
        const below = selection.selectionSet ? measure(selection.selectionSet) : 0
        return selection.kind === Kind.FIELD ? { name: selection.name.value, below } : { below }
      }),
    )
  }

  function measureFragment(name: string): number {
    const fragment = fragments.get(name)
    if (!known.has(name)) {
      known.set(name, 0)
      if (fragment) known.set(name, measure(fragment))
    }
    return known.get(name) ?? 0
  }
}

function deepest(selections: readonly Measured[]): number {
  return Math.max(0, ...selections.map(depthOf))
}

/** Introspection has a rule of its own (MaxIntrospectionDepthRule), so that the queries of tools pass. */
function depthOf({ name, below }: Measured): number {
  if (name === undefined) return below
  return name.startsWith('__') ? 0 : 1 + below
}

/** Counts them; what is below a field does not count. */
function rootFieldsThat(count: (name: string) => boolean) {
  return (selections: readonly Measured[]): number =>
    selections.reduce(
      (sum, { name, below }) => sum + (name === undefined ? below : Number(count(name))),
      0,
    )
}

function checkCredentials(schema: GraphQLSchema) {
  const mutations = schema.getMutationType()?.getFields() ?? {}
  return (name: string) => mutations[name]?.extensions['checksCredentials'] === true
}

function giveLists(schema: GraphQLSchema) {
  const queries = schema.getQueryType()?.getFields() ?? {}
  return (name: string) => isListType(getNullableType(queries[name]?.type))
}
