// Background work, again and again. Time is moved by hand.

import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import { createTestRandom } from '../testing/random.ts'
import { createLoop } from './loop.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

/** A loop of about a second whose rounds end when they are told to. */
function open(fraction = 0.5) {
  const rounds: Array<() => void> = []
  const random = { ...createTestRandom(), fraction: () => fraction }
  const loop = createLoop(1_000, random, () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    rounds.push(resolve)
    return promise
  })
  return { loop, rounds }
}

/** Waits until what follows a resolved promise has happened. */
const settle = async () => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
}

test('the next round is planned when the last one has ended: slow work never overlaps itself', async () => {
  const { loop, rounds } = open()
  loop.start()
  jest.advanceTimersByTime(10_000)
  expect(rounds).toHaveLength(1)
  rounds[0]?.()
  await settle()
  jest.advanceTimersByTime(1_000)
  expect(rounds).toHaveLength(2)
})

test('a loop that is stopped in the middle of a round begins no other', async () => {
  const { loop, rounds } = open()
  loop.start()
  jest.advanceTimersByTime(1_000)
  loop.stop()
  rounds[0]?.()
  await settle()
  expect(jest.getTimerCount()).toBe(0)
})

test.each([
  [0, 800],
  [0.5, 1_000],
  [1, 1_200],
])('chance makes the pauses uneven: at %d it is %d ms', (fraction, pause) => {
  const { loop, rounds } = open(fraction)
  loop.start()
  jest.advanceTimersByTime(pause - 1)
  expect(rounds).toHaveLength(0)
  jest.advanceTimersByTime(1)
  expect(rounds).toHaveLength(1)
})
