// GraphQL requests made up from the schema itself: most are valid, some are not, a few are cut about as text. So a new field is
// tried from the day it exists.

import fc from 'fast-check'
import type { GraphQLArgument, GraphQLField, GraphQLNamedType, GraphQLSchema } from 'graphql'
import { getNamedType, isAbstractType, isCompositeType } from 'graphql'

/** A request. */
export interface FuzzRequest {
  readonly body: object
  /** Every text that stands for a value in it, as it was meant. */
  readonly values: readonly string[]
  /** Whether the document was cut about after it was made. */
  readonly tampered: boolean
}

/** Where values come from: by the name of the argument, so that some of them fit. */
export type Values = (argument: string) => fc.Arbitrary<string>

const DEEPEST = 4
const ODD_VALUES = ['null', '7', '1.5e3', '["x"]', '{ a: "x" }', 'WORD', 'true', '$undeclared']
const ODD_TYPES = ['String', 'Int', '[String!]', 'Nope']
const DIRECTIVES = [
  '@skip(if: false)',
  '@include(if: true)',
  '@include(if: false)',
  '@nope',
  '@skip',
]

/** Makes a request for this schema, from the choices of `g`. */
export function composeRequest(
  g: fc.GeneratorValue,
  schema: GraphQLSchema,
  valuesFor: Values,
): FuzzRequest {
  const values: string[] = []
  const variables: Record<string, unknown> = {}
  const declarations: string[] = []
  const fragments: string[] = []

  const kind = pick(['query', 'mutation', 'mutation', 'mutation'])
  const root = kind === 'query' ? schema.getQueryType() : schema.getMutationType()
  const selection = root ? selectionOf(root, 0) : ''
  const head = `${kind} Fuzz${declarations.length > 0 ? `(${declarations.join(', ')})` : ''}`
  const whole = [`${head} ${selection}`, ...fragments].join(' ')
  const tampered = chance(8)
  return {
    body: {
      query: tampered ? tamperWith(whole) : whole,
      variables,
      ...(chance(10) ? { operationName: pick(['Fuzz', 'Other', '']) } : {}),
    },
    values,
    tampered,
  }

  function selectionOf(type: GraphQLNamedType, depth: number): string {
    const fields = 'getFields' in type ? Object.values(type.getFields()) : []
    const count = depth === 0 && !chance(15) ? 1 : between(1, 4)
    const parts = Array.from({ length: count }, () =>
      partOf(type, fields as readonly GraphQLField<unknown, unknown>[], depth),
    )
    return `{ ${parts.join(' ')} }`
  }

  function partOf(
    type: GraphQLNamedType,
    fields: readonly GraphQLField<unknown, unknown>[],
    depth: number,
  ): string {
    if (isAbstractType(type) && chance(80))
      return spread(pick(schema.getPossibleTypes(type)), depth)
    if (chance(3)) return pick(['__typename', '__typename', 'nope', '__schema { types { name } }'])
    if (chance(6)) return spread(type, depth)
    if (fields.length === 0) return '__typename'
    // Otherwise few operations would have a token to work with.
    const opening = fields.filter(({ args }) => args.some(({ name }) => name === 'email'))
    return fieldText(pick(opening.length > 0 && chance(30) ? opening : fields), depth)
  }

  function spread(type: GraphQLNamedType, depth: number): string {
    if (depth > DEEPEST) return '__typename'
    const body = `on ${type.name} ${directives()}${selectionOf(type, depth + 1)}`
    if (chance(70)) return `... ${body}`
    fragments.push(`fragment F${fragments.length} ${body}`)
    return `...F${fragments.length - 1}`
  }

  function fieldText(field: GraphQLField<unknown, unknown>, depth: number): string {
    const given = field.args.filter(() => !chance(1))
    const args = given.map((arg) => `${arg.name}: ${argument(arg)}`)
    const type = getNamedType(field.type)
    const below = isCompositeType(type) ? selectionBelow(type, depth) : chance(1) ? '{ id }' : ''
    const alias = chance(depth === 0 ? 50 : 10) ? `${pick(['a', 'b', 'c', 'd', 'id', 'me'])}: ` : ''
    return `${alias}${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''} ${directives()}${below}`
  }

  function selectionBelow(type: GraphQLNamedType, depth: number): string {
    return chance(2) || depth > DEEPEST ? '' : selectionOf(type, depth + 1)
  }

  function argument({ name, type }: GraphQLArgument): string {
    if (chance(3)) return pick(ODD_VALUES)
    const value = g(valuesFor, name)
    values.push(value)
    return chance(50) ? JSON.stringify(value) : variable(value, String(type))
  }

  function variable(value: string, type: string): string {
    const name = `v${declarations.length}`
    declarations.push(`$${name}: ${chance(3) ? pick(ODD_TYPES) : type}`)
    if (!chance(2)) variables[name] = chance(3) ? pick([null, 7, [value], { value }]) : value
    return `$${name}`
  }

  function directives(): string {
    return chance(4) ? `${pick(DIRECTIVES)} ` : ''
  }

  function tamperWith(text: string): string {
    const [from, to] = [between(0, text.length), between(0, text.length)].sort((a, b) => a - b)
    const piece = text.slice(from, to)
    return (
      text.slice(0, from) +
      pick(['', piece + piece, '{', '"', '}', '\\', '#', '\0']) +
      text.slice(to)
    )
  }

  function pick<T>(list: readonly T[]): T {
    return list[between(0, list.length - 1)] as T
  }

  function between(min: number, max: number): number {
    return g(evenly, min, max)
  }

  function chance(percent: number): boolean {
    return between(0, 99) < percent
  }
}

/** fast-check prefers small numbers, which would make every rare choice a frequent one. */
function evenly(min: number, max: number): fc.Arbitrary<number> {
  return fc.noBias(fc.integer({ min, max }))
}
