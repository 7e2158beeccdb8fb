// The Pothos builder: nothing is nullable unless it says so, and the scalars and enums that belong to no feature.

import SchemaBuilder from '@pothos/core'
import { ERRORS, INPUT_FAULTS } from '../errors.ts'
import type { Context } from './context.ts'

interface Types {
  Context: Context
  DefaultFieldNullability: false
  Scalars: { DateTime: { Input: never; Output: Date }; ID: { Input: string; Output: string } }
}

export type Builder = ReturnType<typeof createBuilder>

/** A builder with `Query`, `Mutation`, `DateTime`, `ErrorCode` and `InputFault`. */
export function createBuilder() {
  const builder = new SchemaBuilder<Types>({ defaultFieldNullability: false })
  builder.queryType({ description: 'What can be read.' })
  builder.mutationType({ description: 'What can be done.' })
  builder.scalarType('DateTime', {
    description: 'A moment: RFC 3339, in UTC.',
    serialize: (value) => value.toISOString(),
  })
  builder.enumType('ErrorCode', {
    description:
      'The values of `errors[].extensions.code`. Where one input is at fault, `field` beside it names that input.',
    values: describe(ERRORS, (row) => row.meaning),
  })
  builder.enumType('InputFault', {
    description:
      'The values of `errors[].extensions.reason`, beside `INVALID_EMAIL` and `WEAK_PASSWORD`.',
    values: describe(INPUT_FAULTS, (meaning) => meaning),
  })
  return builder
}

function describe<T>(table: Record<string, T>, describeRow: (row: T) => string) {
  return Object.fromEntries(
    Object.entries(table).map(([name, row]) => [name, { description: describeRow(row) }]),
  )
}
