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
  ['one field', '{ me { id } }', 'query me refused'],
  ['a mutation', 'mutation { logout { sessions } }', 'mutation logout ok'],
  ['one field under names of the client', '{ a: me { id } b: me { id } }', 'query me refused'],
  ['two fields', '{ me { id } sessions { id } }', 'query (several) refused'],
  ['introspection', '{ __typename }', 'query (introspection) ok'],
  ['a fragment', `{ ...F } ${SESSIONS}`, 'query sessions refused'],
  ['two fragments', `{ ... { me { id } } ...F } ${SESSIONS}`, 'query (several) refused'],
  ['fragments without end', `{ ...F0 } ${doubled('me { id }')}`, 'query me refused'],
])('%s', async (_, query, counted) => {
  const app = await createTestApp()
  await app.run(query)
  const series = /operation_seconds_count\{type="(.*)",field="(.*)",outcome="(.*)"\} 1$/gm
  const text = await app.metrics.print()
  expect([...text.matchAll(series)].map(([, ...labels]) => labels.join(' '))).toEqual([counted])
})
