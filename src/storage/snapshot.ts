// Reading a whole database as of one moment, while others write: what a backup holds. Neither signing keys nor sessions: one
// that leaked or ended after the backup must not come back with it.

import type { Client, InValue, Row, Transaction } from '@libsql/client'

/** A table of a backup: its columns, and how many rows it has. Parents come before those that refer to them. */
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
    const tables = await tablesOf(snapshot)
    const schema = await schemaOf(snapshot)
    yield { format: 1, version, createdAt: createdAt.toISOString(), schema, tables }
    for (const table of tables) yield* rowsOf(snapshot, table, check)
  } finally {
    snapshot.close()
  }
}

/** Whether a backup holds a table of this name. Older ones hold more. */
export function isBackedUp(table: string): boolean {
  return !NOT_BACKED_UP.test(table)
}

/** The tables that a backup holds, parents first. */
export async function tablesOf(database: Pick<Client, 'execute'>): Promise<BackedUpTable[]> {
  const all = await database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
  const names = all.rows.map((row) => text(row, 'name')).filter(isBackedUp)
  const tables: (BackedUpTable & { parents: string[] })[] = []
  for (const name of names.sort()) {
    const [columns, parents, count] = [
      await database.execute(`SELECT name FROM pragma_table_info(${quoteText(name)})`),
      await database.execute(`SELECT "table" FROM pragma_foreign_key_list(${quoteText(name)})`),
      await database.execute(`SELECT count(*) AS rows FROM ${quote(name)}`),
    ]
    tables.push({
      name,
      columns: columns.rows.map((row) => text(row, 'name')),
      rows: Number(count.rows[0]?.['rows']),
      parents: parents.rows.map((row) => text(row, 'table')).filter((parent) => parent !== name),
    })
  }
  return parentsFirst(tables).map(({ name, columns, rows }) => ({ name, columns, rows }))
}

function parentsFirst<T extends { name: string; parents: string[] }>(tables: T[]): T[] {
  const placed: T[] = []
  while (placed.length < tables.length) {
    const known = new Set(placed.map(({ name }) => name))
    const next = tables.find((t) => !known.has(t.name) && t.parents.every((p) => known.has(p)))
    if (!next) throw new Error('tables refer to each other in a circle')
    placed.push(next)
  }
  return placed
}

/** When the newest migration was written. Throws if there is no table of migrations: such a database is not ours. */
async function schemaOf(snapshot: Transaction): Promise<number> {
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

function quoteText(name: string): string {
  return `'${name.replaceAll("'", "''")}'`
}
