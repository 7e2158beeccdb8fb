// The bounded memory: what is used stays, what is not goes, and it never grows past its bound.

import { expect, test } from 'bun:test'
import { createRecent } from './recent.ts'

test('what is used stays, what is not used goes', () => {
  const recent = createRecent<number>(10)
  recent.set('used', 0)
  recent.set('unused', 0)
  for (let i = 0; i < 100; i += 1) {
    recent.set(`k${i}`, i)
    expect(recent.get('used')).toBe(0)
  }
  expect(recent.get('unused')).toBeUndefined()
})

test('no more than twice its limit is remembered', () => {
  const recent = createRecent<number>(10)
  for (let i = 0; i < 1_000; i += 1) recent.set(`k${i}`, i)
  const known = Array.from({ length: 1_000 }, (_, i) => recent.get(`k${i}`)).filter(
    (value) => value !== undefined,
  )
  expect(known.length).toBeGreaterThanOrEqual(10)
  expect(known.length).toBeLessThanOrEqual(20)
})

test('what weighs more leaves room for less', () => {
  const recent = createRecent<number>(10, (key) => key.length)
  for (const key of ['a', 'bbbbbb', 'c', 'dddd', 'eeeeeee']) recent.set(key, 1)
  expect(['a', 'bbbbbb', 'c'].map(recent.get)).toEqual([undefined, undefined, undefined])
  expect(['eeeeeee', 'dddd'].map(recent.get)).toEqual([1, 1])
})

test('what is set again weighs no more', () => {
  const recent = createRecent<number>(10, (key) => key.length)
  recent.set('neighbour', 1)
  for (let i = 0; i < 100; i += 1) recent.set('a', i)
  expect([recent.get('neighbour'), recent.get('a')]).toEqual([1, 99])
})
