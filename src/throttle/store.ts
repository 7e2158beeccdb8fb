// The statements on throttles. One decides whether an attempt may be made and charges it to all its rules, or to none: of
// any number at once, on any replica, no more get through than the rules allow.

import type { SQL } from 'drizzle-orm'
import { and, eq, inArray, lte, ne, sql } from 'drizzle-orm'
import type { Db } from '../storage/database.ts'
import type { Rule } from './rules.ts'
import { knownAddresses, throttles } from './table.ts'

/** A user and an address, as digests. */
export interface Pair {
  readonly user: string
  readonly address: string
}

/** What an attempt costs by one rule. */
export interface Charge {
  readonly rule: Rule
  /** The row that counts. */
  readonly key: string
  /** Charged only if the user has (or has not) logged in from the address before. */
  readonly onlyIf?: Pair & { readonly known: boolean }
}

/** An attempt that was charged. */
export interface Charged {
  /** Until when the address is known as the user's; 0 if it is not. */
  readonly knownUntil: number
}

/** An address that becomes a user's. */
export interface Known extends Pair {
  readonly until: number
  /** SQL that must be true: by then the password may be another, and whoever knew the old one a stranger. */
  readonly onlyIf: SQL
}

/** How a user's counts end with the right password. */
export interface Succeeded {
  /** The counts that begin anew. */
  readonly clear: readonly string[]
  /** The steady count that gets its charge back, and how much that was (milliseconds). */
  readonly refund: { readonly key: string; readonly interval: number } | undefined
  /** The address that is the user's from now on, until when, and on what condition; nothing where that is known already. */
  readonly known: Known | undefined
}

/** How many addresses of a user are remembered: those used last. */
const KNOWN_ADDRESSES = 20

/** Charges an attempt by every rule, or by none when one of them does not allow it yet: then returns null. */
export async function charge(
  db: Db,
  charges: readonly Charge[],
  { user, address }: Pair,
  now: number,
): Promise<Charged | null> {
  const [row] = await db.all<Charged>(sql`WITH ${counts(charges, now)},
    next AS (SELECT *, max(allowed_at, ${now} - slack) + CASE
        WHEN attempts >= "limit" THEN memory
        WHEN attempts < free THEN 0
        ELSE min(delay << min(attempts - free, 20), ceiling) END AS next_at FROM counts)
    INSERT INTO throttles (key, count, next_at, expires_at)
    SELECT key, attempts, next_at, max(next_at + slack, ${now} + memory) FROM next
    WHERE NOT EXISTS (SELECT 1 FROM counts WHERE allowed_at > ${now})
    ON CONFLICT (key) DO UPDATE
    SET count = excluded.count, next_at = excluded.next_at, expires_at = excluded.expires_at
    RETURNING coalesce((SELECT expires_at FROM known_addresses
      WHERE user = ${user} AND address = ${address}), 0) AS knownUntil`)
  return row ?? null
}

/** The rule that does not allow an attempt for longest, or nothing when all do by now. */
export async function selectRefusal(
  db: Db,
  charges: readonly Charge[],
  now: number,
): Promise<{ key: string; nextAt: number } | undefined> {
  const [row] = await db.all<{ key: string; nextAt: number }>(
    sql`WITH ${counts(charges, now)} SELECT key, allowed_at AS nextAt FROM counts
      WHERE allowed_at > ${now} ORDER BY allowed_at DESC LIMIT 1`,
  )
  return row
}

/** What each rule has counted, this attempt included, and from when it allows one. What expired counts as forgotten. */
function counts(charges: readonly Charge[], now: number): SQL {
  const rows = charges.map(
    ({ key, rule, onlyIf }) =>
      sql`(${key}, ${rule.free}, ${rule.delay}, ${rule.ceiling}, ${rule.limit}, ${rule.memory}, ${rule.slack}, ${applies(onlyIf, now)})`,
  )
  return sql`rules (key, free, delay, ceiling, "limit", memory, slack, applies) AS (VALUES ${sql.join(rows, sql`, `)}),
    counts AS MATERIALIZED (SELECT rules.*, iif(held.expires_at > ${now}, held.count, 0) + 1 AS attempts,
        iif(held.expires_at > ${now}, held.next_at, 0) AS allowed_at
      FROM rules LEFT JOIN throttles held ON held.key = rules.key WHERE applies)`
}

function applies(onlyIf: Charge['onlyIf'], now: number): SQL {
  if (!onlyIf) return sql`1`
  const { user, address, known } = onlyIf
  return sql`${known ? sql`EXISTS` : sql`NOT EXISTS`} (SELECT 1 FROM known_addresses
    WHERE user = ${user} AND address = ${address} AND expires_at > ${now})`
}

/** Begins a user's counts anew, gives the address its charge back, and remembers the address as the user's. */
export function successStatements(db: Db, { clear, refund, known }: Succeeded) {
  const { key = '', interval = 0 } = refund ?? {}
  const keys = [...clear, key].map((one) => sql`${one}`)
  const settle = db.run(sql`UPDATE throttles
    SET count = iif(key = ${key}, count, 0), next_at = iif(key = ${key}, next_at - ${interval}, 0)
    WHERE key IN (${sql.join(keys, sql`, `)})`)
  return known ? ([settle, ...know(db, known)] as const) : ([settle] as const)
}

/** The two statements that remember an address as the user's, and forget the one that was not used for longest. */
function know(db: Db, { user, address, until, onlyIf }: Known) {
  const beyond = sql`${knownAddresses.user} = ${user} AND ${knownAddresses.address} IN (SELECT address FROM known_addresses
    WHERE user = ${user} ORDER BY expires_at DESC, address LIMIT -1 OFFSET ${KNOWN_ADDRESSES})`
  return [
    db.run(sql`INSERT INTO known_addresses (user, address, expires_at)
      SELECT ${user}, ${address}, ${until} WHERE ${onlyIf}
      ON CONFLICT (user, address) DO UPDATE SET expires_at = excluded.expires_at`),
    db.delete(knownAddresses).where(beyond),
  ] as const
}

/** Forgets the counts of these keys, and the addresses of a user but the one that is kept. */
export async function forget(
  db: Db,
  { user, keys, kept }: { user: string; keys: readonly string[]; kept: string | undefined },
): Promise<void> {
  await db.batch([
    db.delete(throttles).where(inArray(throttles.key, [...keys])),
    db
      .delete(knownAddresses)
      .where(and(eq(knownAddresses.user, user), ne(knownAddresses.address, kept ?? ''))),
  ])
}

/** Deletes a few rows that have expired; returns how many. */
export async function sweepExpired(
  db: Db,
  { now, rows }: { now: number; rows: number },
): Promise<number> {
  const old = sql`${throttles.key} IN (SELECT key FROM throttles WHERE ${lte(throttles.expiresAt, now)} LIMIT ${rows})`
  const unused = sql`rowid IN (SELECT rowid FROM known_addresses WHERE ${lte(knownAddresses.expiresAt, now)} LIMIT ${rows})`
  const [first, second] = await db.batch([
    db.delete(throttles).where(old),
    db.delete(knownAddresses).where(unused),
  ])
  return Math.max(first.rowsAffected, second.rowsAffected)
}

/** How many rows count somebody. */
export async function countRows(db: Db): Promise<number> {
  return await db.$count(throttles)
}

/** Deletes some rows with at most so many attempts, in no order; returns how many. */
export async function sweepSmall(
  db: Db,
  { attempts, rows }: { attempts: number; rows: number },
): Promise<number> {
  const small = sql`${throttles.key} IN (SELECT key FROM throttles WHERE ${lte(throttles.count, attempts)} LIMIT ${rows})`
  const { rowsAffected } = await db.delete(throttles).where(small)
  return rowsAffected
}
