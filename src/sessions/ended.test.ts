// How soon a replica knows what ended on another. Time is moved by hand.

import { afterEach, expect, jest, test } from 'bun:test'
import { createTestApp } from '../testing/app.ts'
import { createEndedSessions } from './ended.ts'

afterEach(() => void jest.useRealTimers())

test('a replica looks for ended sessions at least once a second, however uneven its pauses', async () => {
  const app = await createTestApp()
  let looks = 0
  const ended = createEndedSessions({
    ...app,
    database: {
      ...app.database,
      async read() {
        looks += 1
        throw new Error('out of reach')
      },
    },
    random: { ...app.random, fraction: () => 0.999 },
    lifetime: 600,
  })
  jest.useFakeTimers()
  ended.start()
  jest.advanceTimersByTime(1_000)
  ended.stop()
  expect(looks).toBeGreaterThan(0)
})
