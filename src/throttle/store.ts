// The statements on throttles. One statement decides whether an attempt may be made and charges it to all its rules, or to none:
// of any number of attempts at once, on any replica, no more get through than the rules allow.

import type { SQL } from 'drizzle-orm'
import { lte, sql } from 'drizzle-orm'
import type { Db } from '../storage/database.ts'
import type { Statement } from '../storage/statement.ts'
import { preparedStatement, statement } from '../storage/statement.ts'
import type { Rule } from './rules.ts'
import { knownAddresses, throttles } from './table.ts'

const { placeholder } = sql

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
  readonly onlyIf?: { readonly known: boolean }
}

/** An attempt that was charged. */
export interface Charged {
  /** Until when the address is known as the user's; 0 if it is not. */
  readonly knownUntil: number
}

/** An address that becomes a user's. */
export interface Known extends Pair {
  readonly until: number
  /** SQL that must be true then: the password may have been changed meanwhile, and whoever knew the old one is a stranger. */
  readonly onlyIf: SQL
}

/** The keys of a user's counts: from addresses that are not the user's, from those that are, and with a valid token. */
export interface UserKeys {
  readonly user: string
  readonly knownAddress: string
  readonly reauthentication: string
}

/** How a user's counts end with the right password. */
export interface Succeeded {
  /** The counts that begin anew. */
  readonly clear: UserKeys
  /** The count of the address, which gets its charge back, and how much that was (milliseconds). */
  readonly refund: { readonly key: string; readonly interval: number } | undefined
  /** The address that becomes the user's, until when, and on what condition; undefined where that is known already. */
  readonly known: Known | undefined
}

/** How many addresses of a user are remembered: those used last. */
const KNOWN_ADDRESSES = 20

/** What an attempt is judged by: who attempts, and when (milliseconds since 1970). */
export interface Judged extends Pair {
  readonly now: number
}

/** The statements on one attempt. */
export interface AttemptStatements {
  /** Charges it to every rule; or to none, and returns no row, when one of them does not allow it yet. */
  charge(judged: Judged): Statement<Charged>
  /** Finds the rule that will not allow it for longest; no row when all allow it by now. */
  hindrance(judged: Judged): Statement<Hindrance>
}

/** Which count holds an attempt back, and until when (milliseconds since 1970). */
export interface Hindrance {
  readonly key: string
  readonly nextAt: number
}

/** Makes the statements on attempts by their charges. Their texts are long: for each combination of rules they are built once. */
export function createAttemptStatements(): (charges: readonly Charge[]) => AttemptStatements {
  const built = new Map<string, ReturnType<typeof prepare>>()
  return (charges) => {
    const combination = charges.map(({ rule }) => rule.name).join()
    const prepared = built.get(combination) ?? prepare(charges)
    built.set(combination, prepared)
    const keys = Object.fromEntries(charges.map(({ key }, i) => [`key${i}`, key]))
    return {
      charge: (judged) => prepared.charge({ ...judged, ...keys }),
      hindrance: (judged) => prepared.hindrance({ ...judged, ...keys }),
    }
  }
}

function prepare(charges: readonly Charge[]) {
  return {
    charge: preparedStatement<Charged>(sql`WITH ${counts(charges)},
      next AS (SELECT *, CASE
          WHEN attempts >= "limit" THEN max(allowed_at, ${NOW} - slack) + memory
          WHEN attempts < free THEN allowed_at
          ELSE max(allowed_at, ${NOW} - slack) + min(delay << min(attempts - free, 20), ceiling) END AS next_at FROM counts)
      INSERT INTO throttles (key, count, next_at, expires_at)
      SELECT key, attempts, next_at, max(next_at + slack, ${NOW} + memory) FROM next
      WHERE NOT EXISTS (SELECT 1 FROM counts WHERE allowed_at > ${NOW})
      ON CONFLICT (key) DO UPDATE
      SET count = excluded.count, next_at = excluded.next_at, expires_at = excluded.expires_at
      RETURNING coalesce((SELECT expires_at FROM known_addresses
        WHERE user = ${USER} AND address = ${ADDRESS}), 0) AS knownUntil`),
    hindrance: preparedStatement<Hindrance>(sql`WITH ${counts(charges)}
      SELECT key, allowed_at AS nextAt FROM counts WHERE allowed_at > ${NOW} ORDER BY allowed_at DESC LIMIT 1`),
  }
}

const [NOW, USER, ADDRESS] = [placeholder('now'), placeholder('user'), placeholder('address')]

/**
 * A count that holds attempts back for longer than its rule can, and this beside, was written while a clock was ahead. Where the
 * clocks of replicas are minutes apart, the counts of one must not be forgotten by another.
 */
const CLOCKS_DIFFER_MS = 600_000

/**
 * What each rule has counted, this attempt included, and since when it allows one. Rows that expired count as forgotten, and so do
 * those of a clock that was wrong: until it is as late as they say, they would shut out everybody who came meanwhile.
 */
function counts(charges: readonly Charge[]): SQL {
  const rows = charges.map(({ rule, onlyIf }, i) => {
    const { free, delay, ceiling, limit, memory, slack } = rule
    const numbers = sql.raw([free, delay, ceiling, limit, memory, slack].join(', '))
    return sql`(${placeholder(`key${i}`)}, ${numbers}, ${applies(onlyIf)})`
  })
  return sql`rules (key, free, delay, ceiling, "limit", memory, slack, applies) AS (VALUES ${sql.join(rows, sql`, `)}),
    counts AS MATERIALIZED (SELECT rules.*, coalesce(held.count, 0) + 1 AS attempts,
        coalesce(held.next_at, -slack) AS allowed_at
      FROM rules LEFT JOIN throttles held ON held.key = rules.key AND held.expires_at > ${NOW}
        AND held.next_at <= ${NOW} + max(ceiling, memory) + ${sql.raw(String(CLOCKS_DIFFER_MS))} WHERE applies)`
}

function applies(onlyIf: Charge['onlyIf']): SQL {
  if (!onlyIf) return sql`1`
  return sql`${onlyIf.known ? sql`EXISTS` : sql`NOT EXISTS`} (SELECT 1 FROM known_addresses
    WHERE user = ${USER} AND address = ${ADDRESS} AND expires_at > ${NOW})`
}

/** Begins a user's counts anew, gives the address its charge back, and remembers the address as the user's. */
export function successStatements({ clear, refund, known }: Succeeded): Statement[] {
  const { key: refunded, interval } = refund ?? { key: '', interval: 0 }
  const settle = settling({ ...clear, refunded, interval })
  return known ? [settle, ...rememberStatements(known)] : [settle]
}

const settling = preparedStatement(sql`UPDATE throttles
  SET count = iif(key = ${placeholder('refunded')}, count, 0),
    next_at = iif(key = ${placeholder('refunded')}, next_at - ${placeholder('interval')}, 0)
  WHERE key IN (${placeholder('user')}, ${placeholder('knownAddress')}, ${placeholder('reauthentication')},
    ${placeholder('refunded')})`)

/**
 * Takes an attempt that was not made from a user's count, and the wait that it began: none had to wait any more when it was
 * charged.
 */
export function withdrawing(key: string, now: number): Statement {
  return preparedWithdrawal({ key, now })
}

const preparedWithdrawal = preparedStatement(sql`UPDATE throttles
  SET count = max(count - 1, 0), next_at = min(next_at, ${NOW}) WHERE key = ${placeholder('key')}`)

/** The two statements that remember an address as the user's, and forget the one unused for longest when there are too many. */
function rememberStatements({ user, address, until, onlyIf }: Known): Statement[] {
  return [
    statement(sql`INSERT INTO known_addresses (user, address, expires_at)
      SELECT ${user}, ${address}, ${until} WHERE ${onlyIf}
      ON CONFLICT (user, address) DO UPDATE SET expires_at = excluded.expires_at`),
    statement(sql`DELETE FROM known_addresses WHERE user = ${user} AND address IN (SELECT address FROM known_addresses
      WHERE user = ${user} ORDER BY expires_at DESC, address LIMIT -1 OFFSET ${KNOWN_ADDRESSES})`),
  ]
}

/** What is forgotten of a user, on a condition. */
export interface Forgotten {
  readonly user: string
  readonly keys: UserKeys
  /** The address that stays the user's, if one does. */
  readonly kept: string | undefined
  readonly onlyIf: SQL
}

/** Forgets the counts of a user, and the addresses but the one that is kept. */
export function forgetStatements({ user, keys, kept, onlyIf }: Forgotten): Statement[] {
  return [
    statement(sql`DELETE FROM throttles
      WHERE key IN (${keys.user}, ${keys.knownAddress}, ${keys.reauthentication}) AND ${onlyIf}`),
    statement(sql`DELETE FROM known_addresses
      WHERE user = ${user} AND address <> ${kept ?? ''} AND ${onlyIf}`),
  ]
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

/** How many counts there are. */
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
