// Kills a part under load, again and again, and then asks the database for everybody who was acknowledged. Short in
// e2e/crash.test.ts, long in e2e/drills/crash.ts.

import { createClient } from '@libsql/client'
import type { Sqld } from './database.ts'
import type { Ledger } from './ledger.ts'
import { createLedger, keepSigningUp, loginOutcome } from './ledger.ts'
import type { Server } from './server.ts'
import { startServer, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

/** What was found; all lists of what went wrong should be empty. */
export interface CrashReport {
  readonly kills: number
  readonly acknowledged: number
  /** Sent, and cut off or refused. */
  readonly unacknowledged: number
  /** Acknowledged, and not in the database. */
  readonly lost: readonly string[]
  /** Of the unacknowledged: how many are in the database, and which of them cannot log in. */
  readonly foundOut: number
  readonly halfDone: readonly string[]
  /** What `PRAGMA integrity_check` said each time it did not say ok. */
  readonly unsound: readonly string[]
  /** Milliseconds from each kill until service, in order. */
  readonly recoveries: readonly number[]
}

/** How often, how many clients, and what is called in between. */
export interface CrashOptions {
  readonly kills: number
  readonly clients: number
  /** Longest time between two kills, in milliseconds; each is random. */
  readonly life: number
  readonly onKill?: (done: number, ledger: Ledger) => void
}

/** Kills a replica on this database with SIGKILL; `recoveries` are its start-ups. */
export async function crashReplica(database: string, options: CrashOptions): Promise<CrashReport> {
  let server = await startServer({ mode: 'serve', database, env: UNTHROTTLED })
  return await crash(database, options, {
    url: () => server.url,
    server: () => server,
    async killAndRestart() {
      server.process.kill('SIGKILL')
      await server.stop()
      const started = performance.now()
      server = await startServer({ mode: 'serve', database, env: UNTHROTTLED })
      return performance.now() - started
    },
  })
}

/** Kills a libSQL server under a replica that lives on; `recoveries` go from its new start to the next signup. */
export async function crashSqld(sqld: Sqld, options: CrashOptions): Promise<CrashReport> {
  const server = await startServer({ mode: 'serve', database: sqld.url, env: UNTHROTTLED })
  const probe = createLedger('probe')
  return await crash(sqld.url, options, {
    url: () => server.url,
    server: () => server,
    async killAndRestart({ unknown }) {
      await sqld.kill()
      // By chance all clients could be hashing just then, and write only when the server is there again.
      await until('somebody has been cut off or refused', () => unknown.length > 0)
      const started = performance.now()
      await sqld.restart()
      await until('a signup succeeds', async () =>
        Boolean((await probe.signUp(server.url))?.data?.signup),
      )
      return performance.now() - started
    },
  })
}

interface Victim {
  url(): string
  server(): Server
  /** Kills it while clients write into the ledger. Gives the milliseconds until it serves again. */
  killAndRestart(ledger: Ledger): Promise<number>
}

async function crash(
  database: string,
  { kills, clients, life, onKill }: CrashOptions,
  victim: Victim,
): Promise<CrashReport> {
  const ledger = createLedger('crash')
  // Of the last one: the others were killed.
  await using lastly = new AsyncDisposableStack()
  lastly.defer(async () => void (await victim.server().stop()))
  const load = keepSigningUp(ledger, clients, victim.url)
  lastly.defer(async () => void (await load.stop()))
  const [recoveries, unsound]: [number[], string[]] = [[], []]
  for (let kill = 1; kill <= kills; kill += 1) {
    const enough = ledger.acknowledged.length + 1
    await until('somebody has signed up', () => ledger.acknowledged.length >= enough, 30_000)
    // The moment is chance: before, during or after a commit.
    await Bun.sleep(Math.random() * life)
    recoveries.push(await victim.killAndRestart(ledger))
    const said = await integrityOf(database)
    if (said !== 'ok') unsound.push(said)
    onKill?.(kill, ledger)
  }
  await load.stop()
  const stored = await storedEmails(database)
  const found = ledger.unknown.filter((email) => stored.has(email))
  const halfDone: string[] = []
  for (const email of found)
    if ((await loginOutcome(victim.url(), email)) !== 'LoggedIn') halfDone.push(email)
  return {
    kills,
    acknowledged: ledger.acknowledged.length,
    unacknowledged: ledger.unknown.length,
    lost: ledger.acknowledged.filter((email) => !stored.has(email)),
    foundOut: found.length,
    halfDone,
    unsound,
    recoveries,
  }
}

async function integrityOf(url: string): Promise<string> {
  return await until('the database can be checked', async () => {
    const client = createClient({ url })
    try {
      const { rows } = await client.execute('PRAGMA integrity_check')
      return String(rows[0]?.[0])
    } catch {
      return false
    } finally {
      client.close()
    }
  })
}

async function storedEmails(url: string): Promise<Set<string>> {
  const client = createClient({ url })
  const { rows } = await client.execute('SELECT email FROM users')
  client.close()
  return new Set(rows.map((row) => String(row['email'])))
}
