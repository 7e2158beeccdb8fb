// The tally: who holds how many.

import { expect, test } from 'bun:test'
import { createTally } from './tally.ts'

test('counts what each one holds, and says who holds the most', () => {
  const tally = createTally()
  expect([tally.of('a'), tally.most()]).toEqual([0, undefined])
  for (const name of ['a', 'b', 'b', 'c']) tally.add(name)
  expect([tally.of('a'), tally.of('b'), tally.most()]).toEqual([1, 2, 'b'])
  tally.remove('b')
  tally.remove('b')
  expect([tally.of('b'), tally.most()]).toEqual([0, 'a'])
})

test('nothing can be taken from those who hold nothing', () => {
  const tally = createTally()
  tally.remove('a')
  tally.add('a')
  expect([tally.of('a'), tally.most()]).toEqual([1, 'a'])
})
