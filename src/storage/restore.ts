// Filling an empty database from a backup. Where the empty database comes from, and how a half-done restore is kept from
// looking whole: restore-target.ts.

import type { Client } from '@libsql/client'
import { BrokenBackup, openArchive } from './archive.ts'
import { toFault } from './faults.ts'
import { migrate, newestMigration } from './migrate.ts'
import type { BackupRecord, Manifest, Rows } from './snapshot.ts'
import { columnsOf, countRows, quote, strangersAmong } from './snapshot.ts'

/** A backup that is being read. */
export interface OpenBackup {
  readonly manifest: Manifest
  readonly rows: AsyncIterable<Rows>
}

/** Called with how many rows are done, of how many. */
export type OnProgress = (rows: number, of: number) => void

/** Opens a backup under the first of `secrets` that fits. Throws `BrokenBackup`. */
export async function openBackup(
  chunks: AsyncIterable<Uint8Array>,
  secrets: readonly string[],
): Promise<OpenBackup> {
  // What was sealed under our key is what we wrote.
  const records = openArchive(chunks, secrets) as AsyncGenerator<BackupRecord>
  const { value: manifest } = await records.next()
  if (!manifest || 'rows' in manifest || manifest.format !== 1)
    throw new BrokenBackup('it has another format')
  if (manifest.schema > newestMigration())
    throw new BrokenBackup(
      `its database had been migrated by a newer Munjigi: restore it with that one (the backup was made by ${manifest.version})`,
    )
  return { manifest, rows: rowsOf(records) }
}

async function* rowsOf(records: AsyncIterable<BackupRecord>): AsyncGenerator<Rows> {
  for await (const record of records) if ('table' in record) yield record
}

/** Reads all of a backup and changes nothing. Throws `BrokenBackup` when it is not whole. */
export async function checkBackup(backup: OpenBackup, onProgress: OnProgress): Promise<void> {
  for await (const _ of counted(backup, onProgress));
}

/** How many rows a database has in each table that a backup holds. Empty: there are no such tables, or no rows in them. */
export async function rowsIn(client: Client): Promise<Readonly<Record<string, number>>> {
  const counts: Array<[string, number]> = []
  for (const table of (await columnsOf(client)).keys())
    counts.push([table, await countRows(client, table)])
  return Object.fromEntries(counts.filter(([, rows]) => rows > 0))
}

/** What a backup holds that no migration has made, and that is not restored: an older program made it, or one older than its database. */
export async function strangersIn({ schema, tables }: Manifest): Promise<string[]> {
  const found = new Map(tables.map(({ name, columns }) => [name, new Set(columns)]))
  return await strangersAmong(found, schema)
}

/** Fills an empty database: the schema that the backup had, its rows, and then the migrations since. Leaves strangers out. */
export async function fill(
  client: Client,
  backup: OpenBackup,
  onProgress: OnProgress,
): Promise<void> {
  await outlastCheckpoint(() => migrate(client, { until: backup.manifest.schema }))
  const ours = await columnsOf(client)
  const columns = new Map(backup.manifest.tables.map((table) => [table.name, table.columns]))
  for await (const { table, rows } of counted(backup, onProgress)) {
    const known = ours.get(table)
    if (known) await insert(client, table, only(known, columns.get(table) ?? [], rows))
  }
  await outlastCheckpoint(() => migrate(client))
}

/** Columns of a table, and the values of its rows in their order. */
interface Values {
  readonly columns: readonly string[]
  readonly rows: Rows['rows']
}

/** Leaves out the columns that are not known. */
function only(known: ReadonlySet<string>, columns: readonly string[], rows: Rows['rows']): Values {
  const isKnown = (_: unknown, at: number) => known.has(columns[at] ?? '')
  return { columns: columns.filter(isKnown), rows: rows.map((row) => row.filter(isKnown)) }
}

async function insert(client: Client, table: string, { columns, rows }: Values): Promise<void> {
  const row = `(${columns.map(() => '?').join(', ')})`
  const into = `INSERT INTO ${quote(table)} (${columns.map(quote).join(', ')})`
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    const some = rows.slice(from, from + ROWS_AT_ONCE)
    const sql = `${into} VALUES ${some.map(() => row).join(', ')}`
    await outlastCheckpoint(() => client.execute({ sql, args: some.flat() }))
  }
}

/** Few enough that their values fit into one statement, whatever the table. */
const ROWS_AT_ONCE = 250
const BUSY_TRIES = 60
const BUSY_PAUSE_MS = 500

/** A server refuses writes during a checkpoint, and whoever fills it for a minute meets one: what it did not execute is tried again. */
export async function outlastCheckpoint<T>(write: () => Promise<T>): Promise<T> {
  for (let left = BUSY_TRIES; ; left -= 1) {
    try {
      return await write()
    } catch (error) {
      if (toFault(error).code !== 'busy' || left === 0) throw error
    }
    await Bun.sleep(BUSY_PAUSE_MS)
  }
}

/** Passes the rows on as they come. Throws `BrokenBackup` at the end unless there were as many as the manifest says. */
async function* counted({ manifest, rows }: OpenBackup, onProgress: OnProgress) {
  const missing = new Map(manifest.tables.map((table) => [table.name, table.rows]))
  const total = manifest.tables.reduce((sum, table) => sum + table.rows, 0)
  let done = 0
  for await (const some of rows) {
    yield some
    missing.set(some.table, (missing.get(some.table) ?? 0) - some.rows.length)
    done += some.rows.length
    onProgress(done, total)
  }
  if ([...missing.values()].some((count) => count !== 0))
    throw new BrokenBackup('it does not hold the number of rows that it states')
}
