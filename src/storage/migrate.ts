// The migrator: brings the schema forward, in one transaction that is also the lock. The stock one reads its journal
// outside the transaction, so that of several processes starting at once all but one die.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client, Transaction } from '@libsql/client'
import type { MigrationMeta } from 'drizzle-orm/migrator'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { StorageFault, toFault } from './faults.ts'

const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url))

/** Which migrations: those in `folder`, ours if it is left out, up to the one that was written at `until`. */
export interface MigrateOptions {
  readonly folder?: string
  /** Milliseconds since 1970. */
  readonly until?: number
}

/**
 * Applies what is missing, or nothing. Returns how many. Throws the driver's error, or a `StorageFault` that names the
 * migration, and leaves the old schema.
 */
export async function migrate(
  client: Client,
  { folder = MIGRATIONS, until = Number.POSITIVE_INFINITY }: MigrateOptions = {},
): Promise<number> {
  const migrations = readMigrationFiles({ migrationsFolder: folder }).filter(
    ({ folderMillis }) => folderMillis <= until,
  )
  if ((await newest(client)) >= Math.max(...migrations.map((m) => m.folderMillis))) return 0
  const transaction = await client.transaction('write')
  try {
    await transaction.execute(
      'CREATE TABLE IF NOT EXISTS __drizzle_migrations (id INTEGER PRIMARY KEY, hash text NOT NULL, created_at numeric)',
    )
    // Again, inside the transaction: another process may have been faster.
    const applied = await newest(transaction)
    const missing = migrations.filter(({ folderMillis }) => folderMillis > applied)
    for (const migration of missing)
      await apply(transaction, migration).catch((cause) => {
        throw faultIn(migration, folder, cause)
      })
    await transaction.commit()
    return missing.length
  } catch (error) {
    // Waited for: this process may be about to end, and a server that had not heard of it would keep all others from writing.
    await transaction.rollback().catch(() => {})
    throw error
  } finally {
    transaction.close()
  }
}

async function apply(
  transaction: Transaction,
  { sql, hash, folderMillis }: MigrationMeta,
): Promise<void> {
  for (const statement of sql) if (statement.trim()) await transaction.execute(statement)
  await transaction.execute({
    sql: 'INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)',
    args: [hash, folderMillis],
  })
}

function faultIn({ folderMillis }: MigrationMeta, folder: string, cause: unknown): StorageFault {
  const { code, detail } = toFault(cause)
  const entry = journal(folder).find(({ when }) => when === folderMillis)
  return new StorageFault(code, detail, `migration ${entry?.tag}`)
}

/** When the newest migration that this program has was written. */
export function newestMigration(): number {
  return Math.max(...journal().map(({ when }) => when))
}

/** The names of all migrations, in order. */
export function allMigrations(): string[] {
  return journal().map(({ tag }) => tag)
}

/** The names of the migrations that a database has not had, in order. Changes nothing. */
export async function missingMigrations(client: Client): Promise<string[]> {
  const applied = await newest(client)
  const missing = journal().filter(({ when }) => when > applied)
  return missing.map(({ tag }) => tag)
}

/** The journal that drizzle-kit writes: the only place where the migrations have names. */
function journal(folder = MIGRATIONS): ReadonlyArray<{ tag: string; when: number }> {
  return JSON.parse(readFileSync(join(folder, 'meta', '_journal.json'), 'utf8')).entries
}

/** When the newest applied migration was written; 0 on an empty database. */
async function newest(client: Pick<Client, 'execute'>): Promise<number> {
  const table = await client.execute(
    "SELECT 1 FROM sqlite_schema WHERE name = '__drizzle_migrations'",
  )
  if (table.rows.length === 0) return 0
  const result = await client.execute('SELECT max(created_at) AS newest FROM __drizzle_migrations')
  return Number(result.rows[0]?.['newest'] ?? 0)
}
