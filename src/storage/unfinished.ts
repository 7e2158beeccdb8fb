// The mark of a restore that has begun on a server and has not ended: whoever finds it must not take the database for whole.

import type { Client } from '@libsql/client'

const MARK = '__munjigi_unfinished_restore'

/** A restore began here and did not end. */
export class UnfinishedRestore extends Error {
  override readonly name = 'UnfinishedRestore'
}

/** The statement that leaves the mark. */
export const MARK_UNFINISHED = `CREATE TABLE ${MARK} (id INTEGER PRIMARY KEY)`
/** The statement that takes it away. */
export const MARK_FINISHED = `DROP TABLE ${MARK}`

/** Throws `UnfinishedRestore` where the mark is. */
export async function refuseUnfinished(client: Pick<Client, 'execute'>): Promise<void> {
  const { rows } = await client.execute(`SELECT 1 FROM sqlite_schema WHERE name = '${MARK}'`)
  if (rows.length > 0) throw new UnfinishedRestore('a restore did not end')
}
