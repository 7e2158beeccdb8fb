// The database: open, migrate, read, write, close. Writes pass one gate per process; a busy database is asked again,
// off the event loop, until a deadline; what the driver throws leaves as a StorageFault or a coded error.

import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client, ResultSet } from '@libsql/client'
import { createClient } from '@libsql/client'
import { eq } from 'drizzle-orm'
import type { LibSQLDatabase } from 'drizzle-orm/libsql'
import { drizzle } from 'drizzle-orm/libsql'
import { AuthError } from '../errors.ts'
import type { Log } from '../observability/log.ts'
import type { Metrics, StatementKind } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createGate, GateFull } from '../platform/gate.ts'
import type { Random } from '../platform/random.ts'
import { adaptBinding } from './binding.ts'
import { StorageFault, toFault, unavailable } from './faults.ts'
import { createGroupCommit } from './group-commit.ts'
import { migrate } from './migrate.ts'
import { createReadReplica } from './read-replica.ts'
import type { Outcomes, Statement } from './statement.ts'
import { outcomesOf } from './statement.ts'
import { BEAT, heartbeats } from './table.ts'
import { refuseUnfinished, UnfinishedRestore } from './unfinished.ts'

/** What store functions take. */
export type Db = LibSQLDatabase & { readonly $client: Client }

/** The ways to use a database. All throw `SERVICE_UNAVAILABLE` when it cannot be reached in time. */
export interface Database {
  /** Runs a query. */
  read<T>(query: (db: Db) => Promise<T>): Promise<T>
  /**
   * Runs a query that decides nothing: with a read replica the answer may be some seconds old. `isEnough` is false for an
   * answer that lacks what the caller knows to be there; then the primary is asked.
   */
  readStale<T>(query: (db: Db) => Promise<T>, isEnough?: (answer: T) => boolean): Promise<T>
  /** Runs one statement or batch that changes rows. Throws `StorageFault('conflict')` when a unique index says no. */
  write<T>(statement: (db: Db) => Promise<T>): Promise<T>
  /**
   * The same for statements given as data, all of them or none. They may share a transaction with those of others, so this
   * is for what many clients do at once.
   */
  commit<const Statements extends readonly Statement[]>(
    statements: Statements,
  ): Promise<Outcomes<Statements>>
  /**
   * Runs `work` for one request: all statements in it together get the time that each one has otherwise. `caller`: whom it is for, so
   * that nobody's reads leave no room for those of others; asked only for a read from a server.
   */
  forRequest<T>(work: () => Promise<T>, caller?: () => string): Promise<T>
  /**
   * Closes it. Unless others are at work on it, a file is whole then: no log is left beside it that another file put in its
   * place would take for its own.
   */
  close(): Promise<void>
}

/** Where the database is and who watches over it. */
export interface DatabaseOptions {
  /** `file:path`, `:memory:`, `http(s)://…` or `libsql://…`. */
  readonly url: string
  /** Of a read replica of the same database, which takes the same token. */
  readonly readUrl?: string | undefined
  readonly authToken?: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
}

/** The binding waits inside SQLite and blocks the event loop while it does: keep that wait imperceptible. */
const BUSY_TIMEOUT_MS = 50
/**
 * Until when a statement may be begun, be it for the first time or again; all statements of one request together have this time. For
 * what was begun in time a server has as long again to answer: to give up sooner would only hide from the client what was done.
 */
const DEADLINE_MS = 1_500
const ANSWER_MS = 1_500
/** A read replica is near. Whoever waited for it in vain has most of the time left for the primary. */
const READ_REPLICA_DEADLINE_MS = 250
const MIGRATION_DEADLINE_MS = 20_000
const WAITING_WRITES = { running: 1, waiting: 1_000, patience: DEADLINE_MS }
/**
 * Whoever has waited for longer than half of the time would not have enough of it left. The line is kept shorter than that: else one
 * caller could fill it, and the turn of others, who get places in it, would come too late.
 */
const WAITING_READS = {
  running: 20,
  waiting: 1_000,
  patience: DEADLINE_MS / 2,
  foreseen: DEADLINE_MS / 3,
}

/** Opens the database and brings it to the newest schema. Several processes may do so at once. Throws `StorageFault`, `UnfinishedRestore`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  let client: Client | undefined
  const patience = { ms: ANSWER_MS }
  try {
    client = connect(options, () => patience.ms)
    await prepare(client, options, patience)
    return createDatabase({ client, readReplica: await openReadReplica(options) }, options)
  } catch (error) {
    client?.close()
    if (error instanceof UnfinishedRestore) throw error
    throw toFault(error)
  }
}

/** Another process may be doing any of this at the same time. */
async function prepare(
  client: Client,
  options: DatabaseOptions,
  patience: { ms: number },
): Promise<void> {
  const once = async () => {
    if (options.url.startsWith('file:')) await client.execute('PRAGMA journal_mode = WAL')
    await refuseUnfinished(client)
    // A server gets more time here: a migration may change a large table, or wait for a process that does.
    patience.ms = MIGRATION_DEADLINE_MS
    await migrate(client)
  }
  await repeatWhileBusy(options, MIGRATION_DEADLINE_MS, () => {}, once)
  patience.ms = ANSWER_MS
}

/** Where a database is. */
export type Place = Pick<DatabaseOptions, 'url' | 'authToken'>

/** Opens connections, for whoever needs more than `Database` offers. A server has `patience()` milliseconds to answer. */
export function connect({ url, authToken }: Place, patience = () => ANSWER_MS): Client {
  const isFile = url.startsWith('file:')
  if (isFile) mkdirSync(dirname(fileOf(url)), { recursive: true, mode: 0o700 })
  adaptBinding()
  return createClient({
    url,
    ...(authToken ? { authToken } : {}),
    timeout: BUSY_TIMEOUT_MS,
    // To a server the driver sends twenty requests at once. The line behind them knows no deadline and would hold up writes, too: we
    // have one of our own.
    ...(isFile ? {} : { concurrency: Number.POSITIVE_INFINITY }),
    fetch: (request: Request) =>
      fetch(request, {
        // A server that does not answer must not hold a request for ever.
        signal: AbortSignal.timeout(patience()),
        // What is not encrypted passes no proxy that the environment names: it would see token and rows.
        proxy: request.url.startsWith('https:') ? undefined : false,
      }),
  })
}

/** Opens a connection for one piece of work, and closes it after that. */
export async function connected<T>(
  place: Place,
  work: (client: Client) => Promise<T>,
  patience?: () => number,
): Promise<T> {
  const client = connect(place, patience)
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

/** The path of a `file:` URL: relative ones are allowed, which WHATWG URLs do not know. */
export function fileOf(url: string): string {
  return url.startsWith('file://')
    ? fileURLToPath(url)
    : decodeURIComponent(url.slice('file:'.length))
}

/** The read replica is never migrated or written to: a libSQL server would hand the writes on to its primary. */
async function openReadReplica(options: DatabaseOptions) {
  if (options.readUrl === undefined) return undefined
  const client = connect({ ...options, url: options.readUrl }, () => READ_REPLICA_DEADLINE_MS)
  const db = drizzle(client)
  const newestBeat = async (from: Db) =>
    (await from.select().from(heartbeats).where(eq(heartbeats.id, BEAT)).get())?.at
  const replica = createReadReplica({ ...options, newestBeat: () => newestBeat(db) })
  await replica.look()
  replica.start()
  return {
    answer: <T>(query: (db: Db) => Promise<T>, isEnough: (answer: T) => boolean) =>
      replica.answer(() => query(db), isEnough),
    close() {
      replica.stop()
      client.close()
    },
  }
}

/** The connections of a database. */
interface Connections {
  readonly client: Client
  readonly readReplica: Awaited<ReturnType<typeof openReadReplica>>
}

function createDatabase({ client, readReplica }: Connections, options: DatabaseOptions): Database {
  const { clock, metrics } = options
  const db = drizzle(client)
  const requests = new AsyncLocalStorage<{
    left: number
    readonly caller: (() => string) | undefined
  }>()
  // SQLite has one writer. Two writers of one process would wait for each other inside the blocking binding.
  const writes = createGate(WAITING_WRITES, clock)
  const reads = createGate(WAITING_READS, clock)
  const requireInPlace = watchPlace(options.url)
  let closed = false
  const group = createGroupCommit({
    clock,
    writes,
    execute: (statements, deadline) => insist('write', deadline, () => execute(client, statements)),
  })

  return {
    read: (query) =>
      watched('read', (deadline) => inLine(() => inTime('read', deadline, () => query(db)))),
    readStale: (query, isEnough = () => true) =>
      watched('read', (deadline) =>
        inLine(async () => {
          const hasTime = clock.elapsed() + READ_REPLICA_DEADLINE_MS < deadline
          const answer = hasTime ? await readReplica?.answer(query, isEnough) : null
          return answer ? answer.value : await inTime('read', deadline, () => query(db))
        }),
      ),
    write: (statement) =>
      watched('write', (deadline) =>
        writes.run(() => inTime('write', deadline, () => statement(db))),
      ),
    commit: (statements) =>
      watched('write', async (deadline) => outcomesOf(await group.commit(statements, deadline))),
    forRequest: (work, caller) => requests.run({ left: DEADLINE_MS, caller }, work),
    async close() {
      readReplica?.close()
      // SQLite does this by itself when the last connection closes, but the binding keeps ours open as long as their statements.
      // What cannot be moved, because others are at work or the disk is full, stays in the write-ahead log; nothing is lost.
      if (options.url.startsWith('file:'))
        await client.execute('PRAGMA wal_checkpoint(TRUNCATE)').catch(() => {})
      closed = true
      client.close()
    },
  }

  /** One use of the database: bounded, timed, and its faults reported. The deadline counts from here, waiting in line included. */
  async function watched<T>(
    kind: StatementKind,
    run: (deadline: number) => Promise<T>,
  ): Promise<T> {
    const started = clock.elapsed()
    const request = requests.getStore()
    const { left } = request ?? { left: DEADLINE_MS }
    try {
      // Whoever has no time left does not stand in line first.
      if (left <= 0) throw unavailable()
      return await run(started + left)
    } catch (error) {
      throw reported(kind, error)
    } finally {
      if (request) request.left -= clock.elapsed() - started
      metrics.observeStatement(kind, (clock.elapsed() - started) / 1_000)
    }
  }

  /** A file answers at once. A server gets a few reads of requests at a time; background work, which is little, never waits for them. */
  function inLine<T>(run: () => Promise<T>): Promise<T> {
    const request = options.url.startsWith('file:') ? undefined : requests.getStore()
    return request ? reads.run(run, { caller: request.caller?.() }) : run()
  }

  /** Begins only in time: a turn may come too late, and earlier statements may have used up the time of the request. */
  async function inTime<T>(
    kind: StatementKind,
    deadline: number,
    run: () => Promise<T>,
  ): Promise<T> {
    if (clock.elapsed() >= deadline) throw unavailable()
    return await insist(kind, deadline, run)
  }

  /** Asks a busy database again until the deadline. */
  function insist<T>(kind: StatementKind, deadline: number, run: () => Promise<T>): Promise<T> {
    return repeatWhileBusy(
      options,
      deadline - clock.elapsed(),
      () => metrics.countRetry(kind),
      () => {
        if (kind === 'write') requireInPlace()
        return run()
      },
    )
  }

  /** What to throw for what the driver threw. It is logged, unless a unique index said no, which is no fault. */
  function reported(kind: StatementKind, error: unknown): Error {
    if (error instanceof AuthError) return error
    if (error instanceof GateFull) return unavailable()
    const fault = toFault(error)
    if (fault.code === 'conflict') return fault
    // Once it is closed, only clients who have gone are concerned: whoever ends a replica waits for all others.
    if (!closed)
      options.log.error('database.fault', { kind, fault: fault.code, detail: fault.detail })
    return fault.code === 'other' ? fault : unavailable()
  }
}

/**
 * What it returns throws where the path leads to another file than now, or to none. SQLite would go on with the one it has open,
 * and what it wrote there would be lost with the last process that has it.
 */
function watchPlace(url: string): () => void {
  if (!url.startsWith('file:')) return () => {}
  const find = () => {
    const found = statSync(fileOf(url), { throwIfNoEntry: false })
    return found && `${found.dev} ${found.ino}`
  }
  const opened = find()
  return () => {
    if (find() !== opened) throw new StorageFault('unreachable', 'FILE_REPLACED')
  }
}

/** One transaction; a statement alone is one by itself. */
async function execute(
  client: Client,
  statements: readonly Statement[],
): Promise<readonly ResultSet[]> {
  const [first, ...others] = statements
  if (!first) return []
  return others.length === 0
    ? [await client.execute(first)]
    : await client.batch([...statements], 'write')
}

/** Repeats what the database was too busy for (and therefore did not execute), with growing, uneven pauses. */
async function repeatWhileBusy<T>(
  { clock, random }: Pick<DatabaseOptions, 'clock' | 'random'>,
  patience: number,
  onRetry: () => void,
  run: () => Promise<T>,
): Promise<T> {
  const deadline = clock.elapsed() + patience
  for (let pause = 2; ; pause = Math.min(pause * 2, 100)) {
    try {
      return await run()
    } catch (error) {
      if (toFault(error).code !== 'busy' || clock.elapsed() >= deadline) throw error
    }
    onRetry()
    await Bun.sleep(pause * (0.5 + random.fraction()))
  }
}
