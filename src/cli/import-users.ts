// munjigi users import: users of another system, with their stored hashes, from lines of JSON. Batch by batch, each one
// statement; users who are there already stay as they are, so that an import that broke off is simply run again.

import type { ImportedUser } from '../users/imported-user.ts'
import { readImportedUser } from '../users/imported-user.ts'
import type { Users } from '../users/users.ts'
import { linesOf } from './lines.ts'

/** What became of the lines. Empty ones do not count. */
export interface ImportCounts {
  imported: number
  /** Their address had a user already. */
  present: number
  refused: number
}

/** Where the lines come from, who takes the users over, and who is told. */
export interface UserImport {
  /** Null: the lines are only read and judged, and nothing is written; then `present` stays 0. */
  readonly users: Pick<Users, 'importAll'> | null
  readonly source: AsyncIterable<Uint8Array>
  readonly now: number
  /** Is handed sentences about lines and about progress. */
  readonly tell: (sentence: string) => void
}

/** Rows in one statement: few enough that other writers need not wait. */
const BATCH = 200
/** Lines between two sentences about progress. */
const STEP = 10_000
const LONGEST_LINE = 4_096

/** Imports all lines that can be understood, and tells of each that cannot. Throws `SERVICE_UNAVAILABLE`. */
export async function importUsers(options: UserImport): Promise<ImportCounts> {
  const { users, source, now, tell } = options
  const counts: ImportCounts = { imported: 0, present: 0, refused: 0 }
  let batch: ImportedUser[] = []
  let number = 0
  for await (const line of linesOf(source, LONGEST_LINE)) {
    number += 1
    if (number % STEP === 0) tell(`${number} lines read, ${sentenceOf(counts, users)}`)
    if (line?.trim() === '') continue
    const read = line === null ? { fault: 'too long' } : readImportedUser(line, now)
    if ('user' in read) batch.push(read.user)
    else {
      counts.refused += 1
      tell(`line ${number}: ${read.fault}`)
    }
    if (batch.length === BATCH) await flush()
  }
  await flush()
  return counts

  async function flush(): Promise<void> {
    const added = users && batch.length > 0 ? await users.importAll(batch) : batch.length
    counts.imported += added
    counts.present += batch.length - added
    batch = []
  }
}

/** For people. */
export function sentenceOf(
  { imported, present, refused }: ImportCounts,
  users: UserImport['users'],
): string {
  const good = users ? `${imported} imported, ${present} present` : `${imported} can be imported`
  return `${good}, ${refused} refused`
}
