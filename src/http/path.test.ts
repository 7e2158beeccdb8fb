// The path of a request, also of one whose Host is missing or nonsense.

import { expect, test } from 'bun:test'
import { pathOf } from './path.ts'

test.each([
  ['http://munjigi.test/graphql', '/graphql'],
  ['http://munjigi.test/graphql?a=/b#c', '/graphql'],
  ['http://munjigi.test/graphql#c', '/graphql'],
  ['http://munjigi.test', '/'],
  ['http://[::1]:3000/readyz', '/readyz'],
  ['/readyz', '/readyz'],
  ['/readyz?x', '/readyz'],
  ['http://[/graphql', '/graphql'],
  ['http://x:99999/..%2fgraphql', '/..%2fgraphql'],
])('%s is at %s', (url, path) => {
  expect(pathOf({ url } as Request)).toBe(path)
})
