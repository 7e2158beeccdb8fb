// The statements on signing keys. Replicas all try at once; each statement lets one win.

import { and, desc, eq, sql } from 'drizzle-orm'
import type { Db } from '../storage/database.ts'
import { readRows, statement } from '../storage/statement.ts'
import { signingKeys } from './table.ts'

/** A row of the table: the private half sealed. */
export type SigningKeyRow = typeof signingKeys.$inferSelect

/** Adds the first key of all, or nothing when there is one. */
export async function insertFirstKey(db: Db, row: SigningKeyRow): Promise<boolean> {
  const result = await insertUnless(db, row, sql`SELECT 1 FROM ${signingKeys}`)
  return result.rowsAffected > 0
}

/** Adds a key unless one of its algorithm has its `signsFrom` after `after` and not after `until`. */
export async function insertNextKey(
  db: Db,
  row: SigningKeyRow,
  { after, until }: { after: number; until: number },
): Promise<boolean> {
  const newer = sql`SELECT 1 FROM ${signingKeys} WHERE algorithm = ${row.algorithm} AND signs_from > ${after} AND signs_from <= ${until}`
  const result = await insertUnless(db, row, newer)
  return result.rowsAffected > 0
}

/** All keys, the latest `signsFrom` first. */
export async function selectKeys(db: Db): Promise<SigningKeyRow[]> {
  return await db
    .select()
    .from(signingKeys)
    .orderBy(desc(signingKeys.signsFrom), desc(signingKeys.kid))
}

/** The private half of a key, sealed. */
export interface Seal {
  readonly kid: string
  readonly sealed: string
}

/** Those of all keys, over a bare connection. */
export function selectSeals(client: Db['$client']): Promise<readonly Seal[]> {
  const all = sql`SELECT kid, sealed_private_jwk AS sealed FROM signing_keys`
  return readRows({ $client: client }, statement<Seal>(all))
}

/** Deletes the keys whose `signsFrom` is before that of `successor`, and returns their ids; none when the successor is gone. */
export async function deleteRetired(db: Db, successor: string): Promise<string[]> {
  const rows = await db
    .delete(signingKeys)
    .where(
      sql`signs_from < (SELECT signs_from FROM ${signingKeys} AS successor WHERE successor.kid = ${successor})`,
    )
    .returning({ kid: signingKeys.kid })
  return rows.map(({ kid }) => kid)
}

/** Deletes one key, and says whether it was there. */
export async function deleteKey(db: Db, kid: string): Promise<boolean> {
  const { rowsAffected } = await db.delete(signingKeys).where(eq(signingKeys.kid, kid))
  return rowsAffected > 0
}

/** The same, but only if another key may sign at `now`. */
export async function deleteKeyBeside(db: Db, kid: string, now: number): Promise<boolean> {
  const { rowsAffected } = await db
    .delete(signingKeys)
    .where(
      sql`kid = ${kid} AND EXISTS (SELECT 1 FROM ${signingKeys} AS other WHERE other.kid <> ${kid} AND other.signs_from <= ${now})`,
    )
  return rowsAffected > 0
}

/** Replaces a key by another at once, if it is still there: nothing signed by it is accepted any more. */
export async function replaceKey(db: Db, kid: string, row: SigningKeyRow): Promise<boolean> {
  const isGone = sql`SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM ${signingKeys} WHERE kid = ${kid})`
  const [, deleted] = await db.batch([
    insertUnless(db, row, isGone),
    db.delete(signingKeys).where(eq(signingKeys.kid, kid)),
  ])
  return deleted.rowsAffected > 0
}

/** Seals a key anew, unless another replica did so first. */
export async function updateSeal(
  db: Db,
  change: { kid: string; from: string; to: string },
): Promise<void> {
  await db
    .update(signingKeys)
    .set({ sealedPrivateJwk: change.to })
    .where(and(eq(signingKeys.kid, change.kid), eq(signingKeys.sealedPrivateJwk, change.from)))
}

function insertUnless(db: Db, row: SigningKeyRow, found: ReturnType<typeof sql>) {
  return db.run(sql`
    INSERT INTO ${signingKeys} (kid, algorithm, sealed_private_jwk, created_at, signs_from)
    SELECT ${row.kid}, ${row.algorithm}, ${row.sealedPrivateJwk}, ${row.createdAt}, ${row.signsFrom}
    WHERE NOT EXISTS (${found})`)
}
