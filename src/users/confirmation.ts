// Whether a password is a user's: charged before it is tried, and checked in equal time whether there is a user or not. A hash
// of another kind or cost than today's is replaced while its password is known.

import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Password } from '../passwords/password.ts'
import type { Passwords, Terms } from '../passwords/passwords.ts'
import type { Clock } from '../platform/clock.ts'
import { createRecent } from '../platform/recent.ts'
import type { Database } from '../storage/database.ts'
import type { Statement, WrittenWith } from '../storage/statement.ts'
import { readRows } from '../storage/statement.ts'
import type { Attempt } from '../throttle/throttle.ts'
import type { UserRow } from './store.ts'
import { replaceHash, toUser, userOfId } from './store.ts'
import type { User, UserId } from './user.ts'

/**
 * A user whose password was shown, and the hash it was checked against: what follows is written only if the hash is
 * still the same, so that no session outlives a change of password that happened in between.
 */
export interface Confirmed {
  readonly user: User
  readonly passwordHash: PasswordHash
  /** Writes that the attempt succeeded: to be written with what follows. */
  readonly success: WrittenWith
}

/** What a check found out. */
export interface Checked {
  readonly row: UserRow | undefined
  /** Null: there is no such user, or the password is another. */
  readonly confirmed: Confirmed | null
}

/** The ways to a user's password. Both throw `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export interface Confirmation {
  /** Charges the attempt and finds the row on one trip, and checks the password against it; without a row, in the same time. */
  check(password: Password, find: Statement<UserRow>, terms: Terms): Promise<Checked>
  /**
   * The same user, after an outdated hash was replaced, unless that was done here within the last hour. Null: the password was
   * changed in the meantime.
   */
  rehash(confirmed: Confirmed, password: Password, client: Client): Promise<Confirmed | null>
}

/** What it is made from. */
export interface ConfirmationOptions {
  readonly database: Database
  readonly passwords: Passwords
  readonly clock: Clock
}

/** How long a hash that came back is left alone: longer than a rollout takes. */
const LEFT_ALONE_MS = 3_600_000
const REMEMBERED = 10_000

/** Makes it. */
export function createConfirmation(options: ConfirmationOptions): Confirmation {
  const { database, passwords, clock } = options
  /** What this replica replaced, by user, and when, by the clock's `elapsed`. */
  const replacements = createRecent<{ at: number; from: PasswordHash }>(REMEMBERED)
  /** The attempt of a guess that was charged before and is checked a second time. */
  const paid: Attempt = {
    recall: () => {},
    charge: async (find) => (find ? await database.read((db) => readRows(db, find)) : []),
    succeed: () => () => [],
    withdraw: async () => {},
  }

  return {
    check: compare,

    async rehash(confirmed, password, client) {
      const { passwordHash: from, success } = confirmed
      const { id: userId } = confirmed.user
      const to =
        passwords.isCurrent(from) || hasComeBack(userId, from)
          ? null
          : await hashUnlessBusy(password, client)
      if (to === null) return confirmed
      if (await database.write((db) => replaceHash(db, { userId, from, to }))) {
        replacements.set(userId, { at: clock.elapsed(), from })
        return { ...confirmed, passwordHash: to }
      }
      // Another login or a change of password was faster: the hash that is there now decides.
      const find = userOfId(userId)
      const again = await compare(password, find, { attempt: paid, client })
      return again.confirmed && { ...again.confirmed, success }
    },
  }

  /**
   * Whether this outdated hash stands where one was replaced lately: then it is that of a replica with another cost, as in a rollout.
   * If the two replaced each other's hashes again and again, logins of the user at the same moment would lose the hash they were
   * checked against, and be taken for wrong. The very hash that was replaced has only been read before that.
   */
  function hasComeBack(userId: UserId, hash: PasswordHash): boolean {
    const last = replacements.get(userId)
    return last !== undefined && last.from !== hash && clock.elapsed() - last.at < LEFT_ALONE_MS
  }

  async function compare(
    password: Password,
    find: Statement<UserRow>,
    terms: Terms,
  ): Promise<Checked> {
    const { row, matches } = await passwords.check(password, find, terms)
    if (!row || !matches) return { row, confirmed: null }
    const { passwordHash } = row
    return { row, confirmed: { user: toUser(row), passwordHash, success: terms.attempt.succeed() } }
  }

  /** Null when too many wait: the login goes on with the old hash, and the next one will replace it. */
  async function hashUnlessBusy(password: Password, client: Client): Promise<PasswordHash | null> {
    try {
      return await passwords.hash(password, { client })
    } catch (error) {
      if (error instanceof AuthError && error.code === 'OVERLOADED') return null
      throw error
    }
  }
}
