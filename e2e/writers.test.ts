// Many writers at once on a libSQL server, which by itself can stop taking writes for ever: the way we start and use it, it
// does not. The short form; the long one is `npm run drill writers`, with figures in docs/scaling.md.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { canRunSqld, startSqld } from './database.ts'
import { writeTogether } from './writers.ts'

setDefaultTimeout(180_000)

const hasSqld = canRunSqld()

test.skipIf(!hasSqld)(
  '64 writers through three replicas, over checkpoints and a kill -9 of the server: nothing acknowledged is lost, nobody is stuck',
  async () => {
    await using sqld = await startSqld({ checkpointSeconds: 3 })
    const options = { seconds: 10, writers: 64, replicas: 3, kill: true }
    const report = await writeTogether(sqld, options)
    expect(report).toMatchObject({ lost: 0, broken: 0 })
    expect(report.acknowledged).toBeGreaterThan(640)
    // Seconds: of ten, with a checkpoint each three.
    expect(report.longestWait).toBeLessThan(8)
    // Nothing else than "come again": no writer is told that its session is over.
    expect(Object.keys(report.refusals).filter((code) => code !== 'SERVICE_UNAVAILABLE')).toEqual(
      [],
    )
  },
)
