// What changes users and sessions together: all of it or nothing, whatever runs beside it.

import { sql } from 'drizzle-orm'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { EndedSession, SessionRow } from '../sessions/store.ts'
import { ending, ofUser, opening } from '../sessions/store.ts'
import type { Database } from '../storage/database.ts'
import type { WrittenWith } from '../storage/statement.ts'
import { statement } from '../storage/statement.ts'
import type { UserRow } from '../users/store.ts'
import { insertingUser, stillHas } from '../users/store.ts'
import type { UserId } from '../users/user.ts'

type Commits = Pick<Database, 'commit'>

/** A user with the first session. */
export interface Signup {
  readonly user: UserRow
  readonly session: SessionRow
  readonly also: WrittenWith
}

/**
 * Adds a user and opens a session. Throws `StorageFault('conflict')` when the e-mail is taken: then nothing happens. It has a
 * transaction of its own, since a conflict would make all who share it begin anew.
 */
export async function addUser(
  database: Pick<Database, 'write'>,
  { user, session, also }: Signup,
): Promise<void> {
  const statements = [insertingUser(user), opening(session, user.passwordHash), ...also(sql`1`)]
  await database.write(({ $client }) => $client.batch(statements, 'write'))
}

/**
 * For what fails after the right password was given, which must not count as wrong: its counts begin anew, and no address becomes
 * known. Throws the failure again and waits for nothing: a slow database has made the client wait, and used up the time of the request.
 */
export function settling(
  database: Pick<Database, 'commit' | 'forRequest'>,
  success: WrittenWith,
): (failure: unknown) => never {
  return (failure) => {
    void database.forRequest(() => database.commit(success(sql`0`))).catch(() => {})
    throw failure
  }
}

/** A change of password: from the hash that was checked to a new one, with the session that remains. */
export interface PasswordChange {
  readonly userId: UserId
  readonly from: PasswordHash
  readonly to: PasswordHash
  readonly session: SessionRow
  readonly now: number
  readonly also: WrittenWith
}

/**
 * Replaces the password, ends every session and opens one. Returns those that ended, or null when the password was changed
 * or the user disabled by another in the meantime: then nothing happens. The new hash, unique by its salt, is the mark by
 * which the later statements know that the first one took effect.
 */
export async function replacePassword(
  database: Commits,
  { userId, from, to, session, now, also }: PasswordChange,
): Promise<readonly EndedSession[] | null> {
  const changed = stillHas(userId, to)
  const which = sql`${ofUser(userId)} AND ${changed}`
  const [replaced, , ended] = await database.commit([
    statement(sql`UPDATE users SET password_hash = ${to}
      WHERE id = ${userId} AND ${stillHas(userId, from)}`),
    ...ending({ which, reason: 'password_changed', now }),
    opening(session, to),
    ...also(changed),
  ])
  return replaced.rowsAffected === 0 ? null : ended.rows
}

/** Which user to delete; if a password hash is given, only while it is theirs. */
export interface Deletion {
  readonly userId: UserId
  readonly passwordHash?: PasswordHash
  readonly now: number
  readonly also: WrittenWith
}

/**
 * Deletes a user and ends every session. Null: nothing was deleted. There is no such user any more, or, if a hash is given, the
 * password is another by now or the user may not log in.
 */
export async function deleteUser(
  database: Commits,
  { userId, passwordHash, now, also }: Deletion,
): Promise<readonly EndedSession[] | null> {
  const there = passwordHash ? stillHas(userId, passwordHash) : sql`1`
  const which = sql`${ofUser(userId)} AND ${there}`
  // The user's row goes last: the condition of all the other statements rests on it.
  const [, ended, ...others] = await database.commit([
    ...ending({ which, reason: 'user_deleted', now }),
    ...also(there),
    statement(sql`DELETE FROM users WHERE id = ${userId} AND ${there}`),
  ])
  return others.at(-1)?.rowsAffected === 0 ? null : ended.rows
}

/** Gives a user a new password, whatever the old one was, and ends every session. Null: there is no such user any more. */
export async function forcePassword(
  database: Commits,
  { userId, to, now, also }: Pick<PasswordChange, 'userId' | 'to' | 'now' | 'also'>,
): Promise<readonly EndedSession[] | null> {
  const [updated, , ended] = await database.commit([
    statement(sql`UPDATE users SET password_hash = ${to} WHERE id = ${userId}`),
    ...ending({ which: ofUser(userId), reason: 'password_changed', now }),
    ...also(sql`1`),
  ])
  return updated.rowsAffected === 0 ? null : ended.rows
}

/** Keeps a user from logging in, and ends every session. Null: there is no such user any more. */
export async function disableUser(
  database: Commits,
  { userId, now }: { userId: UserId; now: number },
): Promise<readonly EndedSession[] | null> {
  const [updated, , ended] = await database.commit([
    statement(
      sql`UPDATE users SET disabled_at = coalesce(disabled_at, ${now}) WHERE id = ${userId}`,
    ),
    ...ending({ which: ofUser(userId), reason: 'user_disabled', now }),
  ])
  return updated.rowsAffected === 0 ? null : ended.rows
}
