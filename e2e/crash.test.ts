// Sudden death: whoever was acknowledged is there, whoever was not is there whole or not at all. The short form; the long
// one is `npm run drill crash`, with figures in docs/scaling.md.

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashReport } from './crash.ts'
import { crashReplica, crashSqld } from './crash.ts'
import { canRunSqld, startSqld } from './database.ts'
import { createLedger } from './ledger.ts'
import { seen } from './output.ts'
import { freePort } from './ports.ts'
import { requires } from './requirement.ts'
import { startServer, UNTHROTTLED } from './server.ts'

setDefaultTimeout(180_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-crash-'))
afterAll(() => rmSync(folder, { recursive: true }))
const hasSqld = canRunSqld()

const SHORT = { kills: 5, clients: 4, life: 300 }

function expectNothingLost(report: CrashReport): void {
  const { lost, halfDone, unsound } = report
  expect({ lost, halfDone, unsound }).toEqual({ lost: [], halfDone: [], unsound: [] })
  // The load was one, and it was cut.
  expect(report.acknowledged).toBeGreaterThanOrEqual(report.kills)
  expect(report.unacknowledged).toBeGreaterThan(0)
}

/** What strace sees of a process. Disposing of it ends strace. */
interface Trace extends AsyncDisposable {
  /** How often the disk was told to sync, and did. */
  syncs(): number
}

/** Watches a process that runs already. Throws where that is not allowed. */
async function trace(pid: number): Promise<Trace> {
  const output = join(folder, `${pid}.strace`)
  const tracer = Bun.spawn(
    ['strace', '-f', '--trace=fsync,fdatasync', '-o', output, '-p', String(pid)],
    { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' },
  )
  await seen(tracer.stderr, 'attached')
  return {
    // Whole, or after what another thread did meanwhile.
    syncs: () =>
      readFileSync(output, 'utf8').match(/sync(?:\(\d+| resumed>)\) += 0$/gm)?.length ?? 0,
    async [Symbol.asyncDispose]() {
      tracer.kill('SIGINT')
      await tracer.exited
    },
  }
}

/** Whether strace is here and may watch a process that it has not started. */
async function canTrace(): Promise<boolean> {
  if (Bun.which('strace') === null) return false
  const idle = Bun.spawn(['sleep', '60'])
  const tracing = await trace(idle.pid).catch(() => null)
  await tracing?.[Symbol.asyncDispose]()
  idle.kill('SIGKILL')
  return tracing !== null
}

/** Of signups one after the other, how many were answered only after a sync since they were sent. */
async function signupsAfterSync(url: string, pid: number, count: number): Promise<number> {
  await using tracing = await trace(pid)
  const ledger = createLedger('power')
  let synced = 0
  while (ledger.acknowledged.length < count) {
    const before = tracing.syncs()
    const answer = await ledger.signUp(url)
    if (answer?.data?.signup && tracing.syncs() > before) synced += 1
  }
  return synced
}

describe('loss of power', async () => {
  const hasStrace = requires('strace, and the right to use it', await canTrace())

  test.skipIf(!hasStrace)(
    'on a file: the disk was told to sync for each signup, before its answer',
    async () => {
      const database = `file:${join(folder, 'power.db')}`
      await using server = await startServer({ mode: 'serve', database, env: UNTHROTTLED })
      expect(await signupsAfterSync(server.url, server.process.pid, 20)).toBe(20)
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
    expect(await signupsAfterSync(server.url, sqld.pid, 20)).toBe(20)
  })

  test.skipIf(!hasStrace).each([
    ['a new file', 'link', (path: string) => `writeNewFile('${path}', systemRandom, fill)`],
    [
      'one in the place of another',
      'rename',
      (path: string) =>
        `Bun.write('${path}-new', 'whole').then(() => putInPlace('${path}-new', '${path}'))`,
    ],
  ])('%s is on the disk before it has its name, and then its name is', (_, naming, write) => {
    const home = mkdtempSync(join(folder, 'place-'))
    const path = join(home, 'file')
    const program = `
      import { putInPlace, writeNewFile } from './src/platform/place-file.ts'
      import { systemRandom } from './src/platform/random.ts'
      const fill = (file) => file.write('whole')
      await ${write(path)}`
    const calls = callsOn(home, [process.execPath, '--no-env-file', '-e', program])
    expect(readFileSync(path, 'utf8')).toBe('whole')
    expect(calls).toEqual(['fsync', naming, 'fsync'])
  })
})

/** What a command asks of the system that names lasting files in a folder, and in which order. */
function callsOn(home: string, command: readonly string[]): string[] {
  const output = `${home}.strace`
  const calls = '--trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2'
  const tracer = ['strace', '-f', '--decode-fds=path', calls, '-o', output, ...command]
  const { exitCode, stderr } = Bun.spawnSync(tracer, { cwd: join(import.meta.dir, '..') })
  if (exitCode !== 0) throw new Error(stderr.toString())
  const lines = readFileSync(output, 'utf8').split('\n')
  return lines
    .filter((line) => line.includes(home))
    .map((line) => /(\w+?)(?:at2?)?\(/.exec(line)?.[1] ?? line)
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
