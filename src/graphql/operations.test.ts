// Under which root field an operation is counted: names of the schema only, and found in no more steps than the document has. And
// with which outcome.

import { expect, test } from 'bun:test'
import { AuthError } from '../errors.ts'
import { createTestApp, KIM, LOGIN } from '../testing/app.ts'

const SESSIONS = 'fragment F on Query { sessions { id } }'
/** Fragments of which each but the last contains the next one twice: expanded, they would never come to an end. */
const doubled = (last: string) =>
  Array.from({ length: 40 }, (_, i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)
    .concat(`fragment F40 on Query { ${last} }`)
    .join(' ')

test.each([
  ['one field', 'query me refused', '{ me { id } }'],
  ['a mutation', 'mutation logout ok', 'mutation { logout { sessions } }'],
  ['one field under names of the client', 'query me refused', '{ a: me { id } b: me { id } }'],
  ['two fields', 'query (several) refused', '{ me { id } sessions { id } }'],
  ['introspection', 'query (introspection) ok', '{ __typename }'],
  ['a fragment', 'query sessions refused', `{ ...F } ${SESSIONS}`],
  ['two fragments', 'query (several) refused', `{ ... { me { id } } ...F } ${SESSIONS}`],
  ['fragments without end', 'query me refused', `{ ...F0 } ${doubled('me { id }')}`],
])('%s is counted as %s', async (_, counted, query) => {
  const app = await createTestApp()
  await app.run(query)
  const series = /operation_seconds_count\{type="(.*)",field="(.*)",outcome="(.*)"\} 1$/gm
  const text = await app.metrics.print()
  expect([...text.matchAll(series)].map(([, ...labels]) => labels.join(' '))).toEqual([counted])
})

test.each([
  ['RATE_LIMITED', 'refused'],
  ['OVERLOADED', 'failed'],
  ['SERVICE_UNAVAILABLE', 'failed'],
] as const)(
  'one that ends with %s is counted as %s, with the seconds it took',
  async (code, outcome) => {
    const { database, clock } = await createTestApp()
    const commit = () => {
      clock.advance('2s')
      return Promise.reject(new AuthError(code))
    }
    const app = await createTestApp({ database: { ...database, commit }, clock })
    await app.run(LOGIN, KIM)
    expect(await app.metrics.print()).toContain(
      `munjigi_graphql_operation_seconds_sum{type="mutation",field="login",outcome="${outcome}"} 2\n`,
    )
  },
)
