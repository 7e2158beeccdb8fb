// The probe of the pool of threads. Time is moved by hand.

import { afterEach, beforeEach, expect, jest, test } from 'bun:test'
import { createTestClock } from '../testing/clock.ts'
import { createTestRandom } from '../testing/random.ts'
import { createThreadPoolProbe } from './thread-pool.ts'

beforeEach(() => void jest.useFakeTimers())
afterEach(() => void jest.useRealTimers())

test('how long a task of the pool took is told in seconds', async () => {
  const clock = createTestClock()
  const { promise: told, resolve } = Promise.withResolvers<number>()
  const elapsed = () => {
    clock.advance('2s')
    return clock.now()
  }
  const probe = createThreadPoolProbe({
    // Between two looks at it two seconds go by.
    clock: { ...clock, elapsed },
    random: createTestRandom(),
    metrics: { observeThreadPoolDelay: resolve },
  })
  probe.start()
  jest.advanceTimersByTime(1_000)
  expect(await told).toBe(2)
  probe.stop()
})
