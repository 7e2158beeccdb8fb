// The deadline that many share. Time is moved by hand.

import { afterEach, beforeEach, describe, expect, jest, test } from 'bun:test'
import { createDeadline } from './deadline.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

/** A deadline of eight seconds, and what moves its time. */
function open() {
  let now = 0
  const deadline = createDeadline(8_000, { now: () => now, elapsed: () => now })
  /** Lets time pass, with the timer firing. */
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i += 100) {
      now += 100
      jest.advanceTimersByTime(100)
    }
  }
  /** Lets time pass in which the event loop is held up. */
  const hang = (ms: number) => {
    now += ms
  }
  /** Starts waiting for work. Returns its outcome, or `late`, once there is one. */
  const wait = (work: Promise<string>) => {
    const waiting = { outcome: '' }
    const over = deadline
      .within(work, () => 'late')
      .then(
        (outcome) => Object.assign(waiting, { outcome }),
        (error: Error) => Object.assign(waiting, { outcome: error.message }),
      )
    return { waiting, over }
  }
  return { pass, hang, wait }
}

const never = () => new Promise<string>(() => {})

describe('within a deadline of eight seconds', () => {
  test('work that ends or fails in time has its own outcome', async () => {
    const { wait } = open()
    for (const [work, outcome] of [
      [Promise.resolve('done'), 'done'],
      [Promise.reject(new Error('failed')), 'failed'],
    ] as const)
      expect(await wait(work).over).toEqual({ outcome })
  })

  test('nobody is late before seven, everybody after eight', async () => {
    const { pass, wait } = open()
    const first = wait(never())
    pass(400)
    const second = wait(never())
    pass(6_500)
    await Promise.resolve()
    expect([first.waiting.outcome, second.waiting.outcome]).toEqual(['', ''])
    pass(1_500)
    expect(await Promise.all([first.over, second.over])).toEqual([
      { outcome: 'late' },
      { outcome: 'late' },
    ])
  })

  test('whoever came later is late later', async () => {
    const { pass, wait } = open()
    const first = wait(never())
    pass(4_500)
    const second = wait(never())
    pass(3_500)
    await first.over
    expect(second.waiting.outcome).toBe('')
    pass(4_500)
    expect(await second.over).toEqual({ outcome: 'late' })
  })

  test('an event loop that was held up makes nobody wait beyond its next look', async () => {
    const { pass, hang, wait } = open()
    const { over } = wait(never())
    hang(7_000)
    pass(1_000)
    expect(await over).toEqual({ outcome: 'late' })
  })

  test('work that ends or fails too late changes nothing', async () => {
    const { pass, wait } = open()
    const [work, other] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const both = [wait(work.promise), wait(other.promise)]
    pass(8_000)
    await Promise.all(both.map(({ over }) => over))
    work.resolve('done')
    other.reject(new Error('failed'))
    await Promise.resolve()
    expect(both.map(({ waiting }) => waiting.outcome)).toEqual(['late', 'late'])
  })

  test('nothing is left running when nobody waits, and it looks again when somebody does', async () => {
    const { pass, wait } = open()
    for (const _ of ['once', 'again']) {
      await wait(Promise.resolve('done')).over
      expect(jest.getTimerCount()).toBe(1)
      pass(1_000)
      expect(jest.getTimerCount()).toBe(0)
    }
    const last = wait(never())
    pass(8_000)
    expect(await last.over).toEqual({ outcome: 'late' })
  })
})
