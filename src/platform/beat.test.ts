// The beat that many wait for together. Time is moved by hand.

import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import { createBeat } from './beat.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

test('those who wait at the same time go on together; whoever comes later waits for the next beat', async () => {
  const beat = createBeat(75)
  const order: string[] = []
  const wait = (name: string) => beat.next().then(() => order.push(name))
  const first = wait('first')
  jest.advanceTimersByTime(74)
  const second = wait('second')
  await Promise.resolve()
  expect(order).toEqual([])
  jest.advanceTimersByTime(1)
  await Promise.all([first, second])
  const third = wait('third')
  expect(order).toEqual(['first', 'second'])
  jest.advanceTimersByTime(75)
  await third
  expect(jest.getTimerCount()).toBe(0)
})
