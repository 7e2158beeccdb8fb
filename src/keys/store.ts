// The statements on signing keys.

import { desc, sql } from 'drizzle-orm'
import type { Db } from '../storage/database.ts'
import { signingKeys } from './table.ts'

/** A row of the table: the private half sealed. */
export type SigningKeyRow = typeof signingKeys.$inferSelect

/** Adds the first key of its algorithm. Replicas starting at once all try; the condition lets one win. */
export async function insertFirstKey(db: Db, row: SigningKeyRow): Promise<void> {
  await db.run(sql`
    INSERT INTO ${signingKeys} (kid, algorithm, public_jwk, sealed_private_jwk, created_at)
    SELECT ${row.kid}, ${row.algorithm}, ${row.publicJwk}, ${row.sealedPrivateJwk}, ${row.createdAt}
    WHERE NOT EXISTS (SELECT 1 FROM ${signingKeys} WHERE algorithm = ${row.algorithm})`)
}

/** All keys, the newest first. */
export async function selectKeys(db: Db): Promise<SigningKeyRow[]> {
  return await db
    .select()
    .from(signingKeys)
    .orderBy(desc(signingKeys.createdAt), desc(signingKeys.kid))
}
