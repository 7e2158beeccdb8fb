// Under which root field an operation is counted: names of the schema only, and found in no more steps than the document has.

import { expect, test } from 'bun:test'
import { createTestApp } from '../testing/app.ts'

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
