// Reading a whole database as of one moment, while others write: what a backup holds. Neither signing keys nor sessions: one
// that leaked or ended after the backup must not come back with it.

import type { Client, InValue, Row, Transaction } from '@libsql/client'
import { connected } from './database.ts'
import { migrate, newestMigration } from './migrate.ts'

/** A table of a backup: its columns, and how many rows it has. None refers to another: sessions, which do, are in no backup. */
export interface BackedUpTable {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
}

/** What a backup says about itself: its first record. */
export interface Manifest {
  readonly format: 1
  /** The version of the program that made it. */
  readonly version: string
  readonly createdAt: string
  /** When the newest migration that the database had was written. */
  readonly schema: number
  readonly tables: readonly BackedUpTable[]
}

/** Some rows of a table: every later record but the last. */
export interface Rows {
  readonly table: string
  readonly rows: readonly (readonly InValue[])[]
}

/** Begins at the manifest and goes on with rows. */
export type BackupRecord = Manifest | Rows

/** How many rows are read at a time. */
const PAGE = 2_000
/** The database's own tables, what holds only for the moment, and what a restored installation begins anew. */
const NOT_BACKED_UP = /^(?:sqlite_|libsql_|__|heartbeats$|(?:ended_)?sessions$|signing_keys$)/

/**
 * The records of one moment: all statements are in one read transaction, which holds up no writer but for a server's
 * checkpoints (backup.ts). `check` is called before each page, and may throw to give up.
 */
export async function* readSnapshot(
  client: Client,
  { version, createdAt }: { version: string; createdAt: Date },
  check: () => void = () => {},
): AsyncGenerator<BackupRecord> {
  const snapshot = await client.transaction('read')
  try {
    const schema = await schemaOf(snapshot)
    const tables = await tablesOf(snapshot, await columnsOfOurs(schema))
    yield { format: 1, version, createdAt: createdAt.toISOString(), schema, tables }
    for (const table of tables) yield* rowsOf(snapshot, table, check)
  } finally {
    snapshot.close()
  }
}

/** The columns of tables, by their names. */
export type Columns = ReadonlyMap<string, ReadonlySet<string>>

/**
 * What the migrations make up to this one, of what a backup holds. Operators and their tools put other tables and columns into a
 * database, which cannot all be read, and have no place to be restored to. Undefined: only a newer program knows this migration.
 */
async function columnsOfOurs(schema: number): Promise<Columns | undefined> {
  if (schema > newestMigration()) return undefined
  return await connected({ url: ':memory:' }, async (client) => {
    await migrate(client, { until: schema })
    return await columnsOf(client)
  })
}

/** The columns of every table that a backup may hold, by the names of the tables. */
export async function columnsOf(database: Pick<Client, 'execute'>): Promise<Columns> {
  const { rows } = await database.execute(
    `SELECT t.name AS "table", c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' ORDER BY t.name, c.cid`,
  )
  const columns = new Map<string, Set<string>>()
  for (const row of rows) {
    const table = text(row, 'table')
    if (!isBackedUp(table)) continue
    columns.set(table, (columns.get(table) ?? new Set()).add(text(row, 'name')))
  }
  return columns
}

/** Whether a backup holds a table of this name. Older ones hold more. */
function isBackedUp(table: string): boolean {
  return !NOT_BACKED_UP.test(table)
}

/** What of these columns the migrations up to this one have not made: a table, or a column as `table.column`. */
export async function strangersAmong(found: Columns, schema: number): Promise<string[]> {
  const ours = (await columnsOfOurs(schema)) ?? found
  const tables = [...found].filter(([table]) => isBackedUp(table))
  const strangers = tables.flatMap(([table, columns]) => {
    const known = ours.get(table)
    if (!known) return [table]
    return [...columns].filter((column) => !known.has(column)).map((column) => `${table}.${column}`)
  })
  return strangers.sort()
}

/** The same of a database. */
export async function strangersOf(client: Client): Promise<string[]> {
  return await strangersAmong(await columnsOf(client), await schemaOf(client))
}

/** How many rows a table has. */
export async function countRows(database: Pick<Client, 'execute'>, table: string): Promise<number> {
  const { rows } = await database.execute(`SELECT count(*) AS rows FROM ${quote(table)}`)
  return Number(rows[0]?.['rows'])
}

/** The tables that a backup holds; of what is `ours` where that is known. */
async function tablesOf(
  database: Pick<Client, 'execute'>,
  ours: Columns | undefined,
): Promise<BackedUpTable[]> {
  const found = await columnsOf(database)
  const tables: BackedUpTable[] = []
  for (const [name, columns] of found) {
    const known = ours ? ours.get(name) : columns
    if (!known) continue
    tables.push({
      name,
      columns: [...columns].filter((column) => known.has(column)),
      rows: await countRows(database, name),
    })
  }
  return tables
}

/** When the newest migration was written. Throws if there is no table of migrations: such a database is not ours. */
async function schemaOf(snapshot: Pick<Client, 'execute'>): Promise<number> {
  const { rows } = await snapshot.execute('SELECT max(created_at) AS at FROM __drizzle_migrations')
  return Number(rows[0]?.['at'])
}

async function* rowsOf(
  snapshot: Transaction,
  { name, columns }: BackedUpTable,
  check: () => void,
): AsyncGenerator<Rows> {
  const wanted = ['rowid', ...columns.map(quote)].join(', ')
  const sql = `SELECT ${wanted} FROM ${quote(name)} WHERE rowid > ? ORDER BY rowid LIMIT ${PAGE}`
  for (let last = Number.MIN_SAFE_INTEGER; ; ) {
    check()
    const { rows } = await snapshot.execute({ sql, args: [last] })
    if (rows.length > 0)
      yield { table: name, rows: rows.map((row) => columns.map((_, i) => storable(row[i + 1]))) }
    if (rows.length < PAGE) return
    last = Number(rows.at(-1)?.[0])
  }
}

/** JSON has no bytes, and no table of ours has any: whoever adds some has to decide how they are stored. */
function storable(value: InValue | undefined): InValue {
  if (value instanceof ArrayBuffer) throw new Error('a backup cannot hold bytes')
  return value ?? null
}

function text(row: Row, name: string): string {
  return String(row[name])
}

/** A name as SQL. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
