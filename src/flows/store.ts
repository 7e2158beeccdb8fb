// The batches that change users and sessions together: all of it or nothing, whatever runs beside it.

import { and, eq, sql } from 'drizzle-orm'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { SessionId } from '../sessions/session.ts'
import type { SessionRow } from '../sessions/store.ts'
import { endStatements, insertIf, ofUser } from '../sessions/store.ts'
import { sessions } from '../sessions/table.ts'
import type { Db } from '../storage/database.ts'
import { users } from '../users/table.ts'
import type { UserId } from '../users/user.ts'

/** A change of password: from the hash that was checked to a new one, with the session that remains. */
export interface PasswordChange {
  readonly userId: UserId
  readonly from: PasswordHash
  readonly to: PasswordHash
  readonly session: SessionRow
  readonly now: number
}

/**
 * Replaces the password, ends every session and opens one. Returns the ids of those that ended, or null when the
 * password was changed by another in the meantime: then nothing happens. The new hash, unique by its salt, is the mark
 * by which the later statements know that the first one took effect.
 */
export async function replacePassword(db: Db, change: PasswordChange): Promise<SessionId[] | null> {
  const { userId, from, to, session, now } = change
  const changed = sql`EXISTS (SELECT 1 FROM users WHERE id = ${userId} AND password_hash = ${to})`
  const which = sql`${sessions.userId} = ${userId} AND ${changed}`
  const [replaced, , ended] = await db.batch([
    db
      .update(users)
      .set({ passwordHash: to })
      .where(and(eq(users.id, userId), eq(users.passwordHash, from))),
    ...endStatements(db, { which, reason: 'password_changed', now }),
    db.run(insertIf(session, to)),
  ])
  return replaced.rowsAffected === 0 ? null : ended.map(({ id }) => id as SessionId)
}

/** Deletes a user and ends every session. Null: nothing was deleted, for the password is another one by now. */
export async function deleteUser(
  db: Db,
  user: { userId: UserId; passwordHash?: PasswordHash; now: number },
): Promise<SessionId[] | null> {
  const { userId, passwordHash, now } = user
  const meant = sql`id = ${userId} AND (${passwordHash ?? null} IS NULL OR password_hash = ${passwordHash ?? null})`
  const which = sql`${sessions.userId} = ${userId} AND EXISTS (SELECT 1 FROM users WHERE ${meant})`
  const [, ended, deleted] = await db.batch([
    ...endStatements(db, { which, reason: 'user_deleted', now }),
    db.delete(users).where(meant),
  ])
  return deleted.rowsAffected === 0 ? null : ended.map(({ id }) => id as SessionId)
}

/** Gives a user a new password, whatever the old one was, and ends every session. */
export async function forcePassword(
  db: Db,
  { userId, to, now }: { userId: UserId; to: PasswordHash; now: number },
): Promise<SessionId[]> {
  const [, , ended] = await db.batch([
    db.update(users).set({ passwordHash: to }).where(eq(users.id, userId)),
    ...endStatements(db, { which: ofUser(userId), reason: 'password_changed', now }),
  ])
  return ended.map(({ id }) => id as SessionId)
}

/** Keeps a user from logging in, and ends every session. */
export async function disableUser(
  db: Db,
  { userId, now }: { userId: UserId; now: number },
): Promise<SessionId[]> {
  const [, , ended] = await db.batch([
    db.update(users).set({ disabledAt: now }).where(eq(users.id, userId)),
    ...endStatements(db, { which: ofUser(userId), reason: 'user_disabled', now }),
  ])
  return ended.map(({ id }) => id as SessionId)
}
