// The statements on sessions. Those that decide are one conditional statement, or one batch whose parts hold or fail together.

import type { SQL } from 'drizzle-orm'
import { and, desc, eq, gt, gte, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { EndReason } from '../observability/events.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Db } from '../storage/database.ts'
import type { Statement } from '../storage/statement.ts'
import { preparedStatement, statement } from '../storage/statement.ts'
import { stillHas } from '../users/store.ts'
import { users } from '../users/table.ts'
import type { UserId } from '../users/user.ts'
import type { SessionId } from './session.ts'
import { endedSessions, sessions } from './table.ts'

const { placeholder } = sql

/** A row of the table. */
export type SessionRow = typeof sessions.$inferSelect

/** The row of a session with the e-mail of its user. */
export type SessionWithUser = SessionRow & { readonly email: string }

/** What a refresh needs of a session for its answer, and no more: each further column would cost time. */
export type RefreshedSession = Pick<SessionWithUser, 'userId' | 'email' | 'expiresAt'>

type RotatedSession = Omit<RefreshedSession, 'email'> & { readonly email: string | null }

/** A change of a session from one refresh token to the next. Times: milliseconds since 1970. */
export interface TokenChange {
  readonly id: SessionId
  readonly generation: number
  readonly secretHash: string
  readonly nextSecretHash: string
  readonly now: number
  /** When it expires if it is not refreshed again, the absolute limit aside. */
  readonly idleExpiresAt: number
}

/** Which sessions to end, why, and when. */
export interface Ending {
  readonly which: SQL
  readonly reason: EndReason
  readonly now: number
}

/** The session of this id. */
export function withId(id: SessionId): SQL {
  return eq(sessions.id, id)
}

/** One session, if it is this user's. */
export function ofUserWithId(userId: UserId, id: SessionId): SQL {
  return sql`${sessions.id} = ${id} AND ${sessions.userId} = ${userId}`
}

/** All sessions of a user. */
export function ofUser(userId: UserId): SQL {
  return eq(sessions.userId, userId)
}

/**
 * Opens a session if its user still has this password hash and may log in. Returns how many sessions of the user are then in
 * force, this one included; no row if not.
 */
export function opening(row: SessionRow, passwordHash: PasswordHash): Statement<{ count: number }> {
  return statement(sql`INSERT INTO sessions (id, user_id, generation, secret_hash, created_at, last_used_at, expires_at, ends_at, client_address, client)
    SELECT ${row.id}, ${row.userId}, ${row.generation}, ${row.secretHash}, ${row.createdAt}, ${row.lastUsedAt},
      ${row.expiresAt}, ${row.endsAt}, ${row.clientAddress}, ${row.client}
    WHERE ${stillHas(row.userId, passwordHash)}
    RETURNING (SELECT count(*) FROM sessions WHERE user_id = ${row.userId} AND expires_at > ${row.createdAt}) AS count`)
}

/**
 * The oldest sessions of a user beyond so many. The one just opened stays, whatever the clocks of others say. If one opened at the
 * same time has ended it already, that one left no more than so many.
 */
export function ofUserBeyond({ id, userId, createdAt }: SessionRow, most: number): SQL {
  return sql`${sessions.id} IN (SELECT id FROM sessions
    WHERE user_id = ${userId} AND expires_at > ${createdAt} AND id <> ${id}
      AND EXISTS (SELECT 1 FROM sessions WHERE id = ${id})
    ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ${most - 1})`
}

/**
 * The one statement that decides a refresh: of any number at once, one finds the session still at this generation.
 * It returns what the answer needs of the session, or nothing when another refresh was first, or the session expired or ended.
 * The e-mail is null where somebody took the user away with a shell of SQLite's, which ends no session.
 */
export function rotating(change: TokenChange): Statement<RotatedSession> {
  return preparedRotation({ ...change })
}

const preparedRotation = preparedStatement<RotatedSession>(
  sql`UPDATE sessions SET generation = generation + 1, secret_hash = ${placeholder('nextSecretHash')},
      last_used_at = ${placeholder('now')}, expires_at = min(${placeholder('idleExpiresAt')}, ends_at)
    WHERE id = ${placeholder('id')} AND generation = ${placeholder('generation')}
      AND secret_hash = ${placeholder('secretHash')} AND expires_at > ${placeholder('now')}
    RETURNING user_id AS userId, expires_at AS expiresAt,
      (SELECT email FROM users WHERE users.id = user_id AND disabled_at IS NULL) AS email`,
)

/** A session that has not expired, with its user, who may log in. */
export async function selectSession(
  db: Db,
  id: SessionId,
  now: number,
): Promise<SessionWithUser | undefined> {
  const row = await db
    .select({ session: sessions, email: users.email })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(and(eq(sessions.id, id), gt(sessions.expiresAt, now), isNull(users.disabledAt)))
    .get()
  return row && { ...row.session, email: row.email }
}

/** The sessions of a user that have not expired, the newest first. */
export async function selectSessions(db: Db, userId: UserId, now: number): Promise<SessionRow[]> {
  return await db
    .select()
    .from(sessions)
    .where(and(eq(sessions.userId, userId), gt(sessions.expiresAt, now)))
    .orderBy(desc(sessions.createdAt), desc(sessions.id))
}

/** A session that ended, and whose it was. */
export interface EndedSession {
  readonly id: SessionId
  readonly userId: UserId
  /** 0: it had expired, and was not swept yet. */
  readonly inForce: 0 | 1
}

/** Ends sessions: first the rows that tell the replicas, then the deletion itself, which returns those that were there. */
export function ending({
  which,
  reason,
  now,
}: Ending): readonly [Statement, Statement<EndedSession>] {
  return [
    statement(sql`INSERT INTO ended_sessions (session_id, reason, ended_at)
      SELECT id, ${reason}, ${now} FROM sessions WHERE ${which}`),
    statement(sql`DELETE FROM sessions WHERE ${which}
      RETURNING id, user_id AS userId, expires_at > ${now} AS inForce`),
  ]
}

/**
 * The sessions that ended from the number `from.sequence` on and after `from.since`, in order. The one of that number and the
 * newest of all are included whenever they ended: the next look begins at the last row, rather than read all older ones again.
 */
export async function selectEnded(
  db: Db,
  from: { sequence: number; since: number; limit: number },
) {
  const { sequence, endedAt } = endedSessions
  const newest = sql`(SELECT max(sequence) FROM ended_sessions)`
  return await db
    .select({
      sequence,
      sessionId: endedSessions.sessionId,
    })
    .from(endedSessions)
    .where(
      and(
        gte(sequence, from.sequence),
        or(gt(endedAt, from.since), eq(sequence, from.sequence), eq(sequence, newest)),
      ),
    )
    .orderBy(sequence)
    .limit(from.limit)
}

/** Deletes a few rows that nobody needs any more; returns how many. */
export async function sweep(
  db: Db,
  limits: { expiredBefore: number; endedBefore: number; rows: number },
): Promise<number> {
  const expired = sql`${sessions.id} IN (SELECT id FROM sessions WHERE ${lte(sessions.expiresAt, limits.expiredBefore)} LIMIT ${limits.rows})`
  const old = sql`${endedSessions.sequence} IN (SELECT sequence FROM ended_sessions WHERE ${lt(endedSessions.endedAt, limits.endedBefore)} LIMIT ${limits.rows})`
  const [first, second] = await db.batch([
    db.delete(sessions).where(expired),
    db.delete(endedSessions).where(old),
  ])
  return first.rowsAffected + second.rowsAffected
}
