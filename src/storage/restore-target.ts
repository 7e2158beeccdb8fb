// The two kinds of place that a backup can be restored to, and how each keeps a half-done restore from looking whole.

import { lstatSync, readlinkSync, realpathSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Client, Transaction } from '@libsql/client'
import { giveToOwnerOf, nameBeside, putAsNew, putInPlace } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { systemCode } from '../platform/system-error.ts'
import type { Place } from './database.ts'
import { connect, connected, fileOf } from './database.ts'
import { toFault } from './faults.ts'
import { outlastCheckpoint, rowsIn } from './restore.ts'
import { quote } from './snapshot.ts'
import { BEAT } from './table.ts'
import { MARK_FINISHED, MARK_UNFINISHED } from './unfinished.ts'

/** Where a backup is to be restored. */
export interface RestoreTarget {
  /** How many rows it holds of what a backup does, by table. Throws `LeftBehind`. */
  rows(): Promise<Readonly<Record<string, number>>>
  /** Gives `work` an empty database, and makes it the one of this place when `work` is done. Throws `TargetInUse`, `LeftBehind`. */
  replace(work: (client: Client) => Promise<void>): Promise<void>
}

/** A replica still works on the database. */
export class TargetInUse extends Error {
  override readonly name = 'TargetInUse'
}

/** Beside the place lies the log of a database that is gone: SQLite would take it for the new one's, and put old rows into it. */
export class LeftBehind extends Error {
  override readonly name = 'LeftBehind'
}

const OPEN_ELSEWHERE = 'another process has it open'
const ANOTHER_FILE = 'it is another file by now'

/** Milliseconds that one answer of a server may take. */
const PATIENCE_MS = 30_000
/** Behind a slow server 4.2 s can go by between two heartbeats of a replica: 1.5 for an answer, a pause of 1.2, and 1.5 in line. */
const LISTEN_MS = 4_500

/** The target at this place. */
export function restoreTarget(place: Place, random: Random): RestoreTarget {
  return place.url.startsWith('file:') ? fileTarget(place.url, random) : serverTarget(place)
}

/** A new file is made beside the old one, without a write-ahead log and so in one file, and put in its place by one rename. */
function fileTarget(url: string, random: Random): RestoreTarget {
  // A link stays where it is: what it points to is replaced.
  const path = endOf(fileOf(url))
  // One connection for all steps: the binding keeps a closed one open until its statements are collected, and it would look
  // like another process.
  let old: Client | undefined
  const inode = inodeOf(path)
  const there = () => {
    // What we know of the first file does not hold for one that was put there since, perhaps by another restore.
    if (inodeOf(path) !== inode) throw new TargetInUse(ANOTHER_FILE)
    if (inode === undefined) requireNothingLeft(path)
    else old ??= connect({ url })
    return old
  }
  return {
    async rows() {
      const client = there()
      return client ? await rowsIn(client) : {}
    },
    async replace(work) {
      const draft = nameBeside(path, 'restoring', random)
      try {
        await takeAlone(there())
        await connected({ url: pathToFileURL(draft).href }, async (client) => {
          // It is synced once, when it is whole, before it gets its name.
          await client.execute('PRAGMA synchronous = OFF')
          await work(client)
          await requireSound(client)
        })
        // Again, for a process that came meanwhile. One that comes from now on waits until the new file has the name.
        const held = await keepOut(there())
        // And once more: while we waited for the lock another restore may have put its file there.
        there()
        await giveToOwnerOf(held ? path : dirname(path), draft)
        // Where there was no file, there is none to hold.
        await (held ? putInPlace(draft, path) : putAsNew(draft, path).catch(explainName))
        held?.close()
      } finally {
        old?.close()
        for (const left of [draft, `${draft}-journal`]) rmSync(left, { force: true })
      }
    },
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}

/** Where a path leads through its links, the last of which may point to what is not there yet. */
function endOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()
  return isLink ? endOf(resolve(realpathSync(dirname(path)), readlinkSync(path))) : path
}

/** Files that a properly closed database left behind are empty, and do no harm. */
function requireNothingLeft(path: string): void {
  const left = [`${path}-wal`, `${path}-journal`].find(
    (file) => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0,
  )
  if (left) throw new LeftBehind(left)
}

/** SQLite lets a connection leave write-ahead mode only if it is alone; what was written ahead is then in the file. */
async function takeAlone(client: Client | undefined): Promise<void> {
  try {
    // A connection that believes the mode is left already would do nothing. This makes it look: another may write ahead again.
    await client?.execute('SELECT count(*) FROM sqlite_schema')
    await client?.execute('PRAGMA journal_mode = DELETE')
  } catch (error) {
    explainLock(error)
  }
}

function explainLock(error: unknown): never {
  if (toFault(error).code !== 'busy') throw error
  throw new TargetInUse(OPEN_ELSEWHERE)
}

function explainName(error: unknown): never {
  if (systemCode(error) !== 'EEXIST') throw error
  throw new TargetInUse(ANOTHER_FILE)
}

/**
 * Keeps others from writing ahead until what it returns is closed. One that did while the new file is synced would leave a log
 * beside it that SQLite takes for the new file's.
 */
async function keepOut(client: Client | undefined): Promise<Transaction | undefined> {
  await takeAlone(client)
  const held = await client?.transaction('write').catch(explainLock)
  const mode = await held?.execute('PRAGMA journal_mode')
  // Another process came between the two steps.
  if (mode && mode.rows[0]?.[0] !== 'delete') throw new TargetInUse(OPEN_ELSEWHERE)
  return held
}

async function requireSound(client: Client): Promise<void> {
  const checked = await client.execute('PRAGMA integrity_check')
  if (checked.rows[0]?.[0] !== 'ok') throw new Error('what was restored is not sound')
}

/** Marked as unfinished from its first step to its last. */
function serverTarget(place: Place): RestoreTarget {
  const patience = () => PATIENCE_MS
  return {
    rows: () => connected(place, rowsIn, patience),
    replace: (work) =>
      connected(
        place,
        async (client) => {
          await requireSilence(client)
          await outlastCheckpoint(() => empty(client))
          await work(client)
          await outlastCheckpoint(() => client.execute(MARK_FINISHED))
        },
        patience,
      ),
  }
}

/** Nobody can be shut out of a server; but a running replica shows by its heartbeat. */
async function requireSilence(client: Client): Promise<void> {
  const before = await lastBeat(client)
  await Bun.sleep(LISTEN_MS)
  if ((await lastBeat(client)) !== before) throw new TargetInUse('a replica is writing')
}

async function lastBeat(client: Client): Promise<number> {
  const table = "SELECT 1 FROM sqlite_schema WHERE name = 'heartbeats'"
  if ((await client.execute(table)).rows.length === 0) return 0
  const { rows } = await client.execute(`SELECT max(at) AS at FROM heartbeats WHERE id = ${BEAT}`)
  return Number(rows[0]?.['at'])
}

/** Drops all tables, and leaves the mark, in one step. */
async function empty(client: Client): Promise<void> {
  const { rows } = await client.execute(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'libsql\\_%' ESCAPE '\\'",
  )
  // Children would have to go before parents, but the check of references is deferred to the end, when all are gone.
  const drops = rows.map((row) => `DROP TABLE ${quote(String(row['name']))}`)
  await client.batch(['PRAGMA defer_foreign_keys = ON', ...drops, MARK_UNFINISHED], 'write')
}
