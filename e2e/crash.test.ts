// Sudden death: whoever was acknowledged is there, whoever was not is there whole or not at all. The short form; the long
// one is `npm run drill crash`, with figures in docs/scaling.md.

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashReport } from './crash.ts'
import { crashReplica, crashSqld } from './crash.ts'
import { findSqld, startSqld } from './database.ts'
import { createLedger } from './ledger.ts'
import { seen } from './output.ts'
import { freePort } from './ports.ts'
import { requires } from './requirement.ts'
import type { Server } from './server.ts'
import { startServer, UNTHROTTLED } from './server.ts'

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

/** How often a process was told by strace to have synced while `work` ran. */
async function syncsDuring(pid: number, work: () => Promise<void>): Promise<number> {
  const output = join(folder, `${pid}.strace`)
  const calls = '--trace=fsync,fdatasync,sync_file_range,msync'
  const tracer = Bun.spawn(['strace', '-f', calls, '-o', output, '-p', String(pid)], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  await seen(tracer.stderr, 'attached')
  await work()
  tracer.kill('SIGINT')
  await tracer.exited
  return [...readFileSync(output, 'utf8').matchAll(/\b(?:fsync|fdatasync)\(\d+\)/g)].length
}

async function writesOf({ metricsUrl }: Server): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  return Number(
    /^munjigi_database_statement_seconds_count{.*kind="write".*} (\d+)$/m.exec(text)?.[1],
  )
}

describe('loss of power', () => {
  const hasStrace = requires('strace, and the right to use it', Bun.which('strace') !== null)

  test.skipIf(!hasStrace)(
    'on a file: the disk was told to sync at least once for each write, before its answer',
    async () => {
      const database = `file:${join(folder, 'power.db')}`
      await using server = await startServer({ mode: 'serve', database, env: UNTHROTTLED })
      const ledger = createLedger('power')
      let writes = 0
      const syncs = await syncsDuring(server.process.pid, async () => {
        const before = await writesOf(server)
        while (ledger.acknowledged.length < 20) await ledger.signUp(server.url)
        writes = (await writesOf(server)) - before
      })
      expect(writes).toBeGreaterThanOrEqual(20)
      expect(syncs).toBeGreaterThanOrEqual(writes)
    },
  )

  test.skipIf(!hasStrace || !hasSqld).each([
    ['as we start it', false],
    ['after a new start', true],
  ])('on a libSQL server, %s: the same', async (_, isAgain) => {
    await using sqld = await startSqld({ adminPort: freePort(), durable: true })
    await using server = await startServer({ mode: 'serve', database: sqld.url, env: UNTHROTTLED })
    if (isAgain) {
      await sqld.kill()
      await sqld.restart()
    }
    const ledger = createLedger('power')
    const syncs = await syncsDuring(sqld.pid, async () => {
      while (ledger.acknowledged.length < 20) await ledger.signUp(server.url)
    })
    expect(syncs).toBeGreaterThanOrEqual(20)
  })
})

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
