// How soon a replica knows what ended on another. Time is moved by hand.

import { afterEach, expect, jest, test } from 'bun:test'
import { createTestApp } from '../testing/app.ts'
import { createEndedSessions } from './ended.ts'
import { toSessionId } from './session.ts'

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

test('a replica forgets what ended when no token of it can be in force any more', async () => {
  const app = await createTestApp()
  const ended = createEndedSessions({ ...app, lifetime: 600 })
  const ids = ['ses_1', 'ses_2', 'ses_3'].map(toSessionId)
  const known: boolean[][] = []
  for (const id of ids) {
    ended.add([id])
    known.push(ids.map(ended.has))
    app.clock.advance('601s')
  }
  expect(known.slice(1)).toEqual([
    [true, true, false],
    [false, true, true],
  ])
})
