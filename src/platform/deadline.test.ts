// The deadline that many share. Time is moved by hand.

import { afterEach, beforeEach, describe, expect, jest, test } from 'bun:test'
import { createDeadline } from './deadline.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

/** What is waited for, and whether it is over: what it came to, or `late`. */
function wait(work: Promise<string>, deadline = createDeadline(8_000)) {
  const waiting = { outcome: '' }
  const over = deadline
    .within(work, () => 'late')
    .then(
      (outcome) => Object.assign(waiting, { outcome }),
      (error: Error) => Object.assign(waiting, { outcome: error.message }),
    )
  return { waiting, over }
}

const never = () => new Promise<string>(() => {})

describe('within a deadline of eight seconds', () => {
  test('what ends or fails in time is what it is', async () => {
    for (const [work, outcome] of [
      [Promise.resolve('done'), 'done'],
      [Promise.reject(new Error('failed')), 'failed'],
    ] as const)
      expect(await wait(work).over).toEqual({ outcome })
  })

  test('nobody is late after seven, everybody after eight', async () => {
    const deadline = createDeadline(8_000)
    const first = wait(never(), deadline)
    jest.advanceTimersByTime(400)
    const second = wait(never(), deadline)
    jest.advanceTimersByTime(6_999)
    await Promise.resolve()
    expect([first.waiting.outcome, second.waiting.outcome]).toEqual(['', ''])
    jest.advanceTimersByTime(1_001)
    expect(await Promise.all([first.over, second.over])).toEqual([
      { outcome: 'late' },
      { outcome: 'late' },
    ])
  })

  test('who came later is late later', async () => {
    const deadline = createDeadline(8_000)
    const first = wait(never(), deadline)
    jest.advanceTimersByTime(4_500)
    const second = wait(never(), deadline)
    jest.advanceTimersByTime(3_500)
    await first.over
    expect(second.waiting.outcome).toBe('')
    jest.advanceTimersByTime(4_500)
    expect(await second.over).toEqual({ outcome: 'late' })
  })

  test('what ends or fails too late changes nothing', async () => {
    const [work, other] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const both = [wait(work.promise), wait(other.promise)]
    jest.advanceTimersByTime(8_000)
    await Promise.all(both.map(({ over }) => over))
    work.resolve('done')
    other.reject(new Error('failed'))
    await Promise.resolve()
    expect(both.map(({ waiting }) => waiting.outcome)).toEqual(['late', 'late'])
  })

  test('nothing is left running when nobody waits, and it looks again when somebody does', async () => {
    const deadline = createDeadline(8_000)
    for (const _ of ['once', 'again']) {
      await wait(Promise.resolve('done'), deadline).over
      expect(jest.getTimerCount()).toBe(1)
      jest.advanceTimersByTime(1_000)
      expect(jest.getTimerCount()).toBe(0)
    }
    const last = wait(never(), deadline)
    jest.advanceTimersByTime(8_000)
    expect(await last.over).toEqual({ outcome: 'late' })
  })
})
