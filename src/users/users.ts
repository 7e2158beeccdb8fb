// Users: made once per e-mail address, authenticated in equal time whether they exist or not.

import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { Password } from '../passwords/password.ts'
import { readPassword } from '../passwords/password.ts'
import type { Passwords } from '../passwords/passwords.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import type { Attempt, Throttle } from '../throttle/throttle.ts'
import type { Confirmed } from './confirmation.ts'
import { createConfirmation } from './confirmation.ts'
import type { Email } from './email.ts'
import { readEmail } from './email.ts'
import type { ImportedUser } from './imported-user.ts'
import type { UserRow } from './store.ts'
import {
  enableUser,
  insertNewUsers,
  selectUser,
  selectUsers,
  toUser,
  userOfEmail,
  userOfId,
} from './store.ts'
import type { User, UserId } from './user.ts'
import { toUserId } from './user.ts'

/** The rules about users. */
export interface Users {
  /** A new user's row, not yet written: a flow writes it together with the first session. Throws `RATE_LIMITED`, `OVERLOADED`. */
  prepare(
    input: { email: Email; password: Password; attempt: Attempt },
    client: Client,
  ): Promise<PreparedUser>
  /** Takes over users of another system, but for those whose address is taken. Returns how many were added. */
  importAll(imported: readonly ImportedUser[]): Promise<number>
  /**
   * The user whom e-mail and password belong to, or why not. One hash is computed in either case; a second one when the
   * password is right and its hash is not of today's kind and cost: it is replaced. Throws `RATE_LIMITED`, `OVERLOADED`.
   */
  authenticate(
    input: { email: Email; password: Password },
    client: Client,
  ): Promise<({ readonly kind: 'confirmed' } & Confirmed) | Refused>
  /**
   * The viewer's user if the password is theirs, else null: for what needs more than a token. Replaces an outdated hash, too.
   * Throws `RATE_LIMITED`, `OVERLOADED`.
   */
  confirm(viewer: Viewer, password: string, client: Client): Promise<Confirmed | null>
  /** The user of an e-mail address, however it is written, or of an id; or null. */
  find(name: string): Promise<User | null>
  /** Users in the order of their ids, in which they were added: those after the id `after`. */
  list(page: { after: string; limit: number }): Promise<User[]>
  /** Lets a disabled user log in again. Throws `NOT_FOUND`. */
  enable(id: UserId): Promise<void>
  /** The user of a token, as they were some seconds ago at worst. Throws `UNAUTHENTICATED` when there is none any more. */
  require(id: UserId): Promise<User>
}

/** A user who is not written yet. */
export interface PreparedUser {
  readonly user: User
  readonly row: UserRow
}

/** The reasons are for the log; the client learns none. */
export interface Refused {
  readonly kind: 'refused'
  readonly reason: 'unknown_user' | 'wrong_password' | 'disabled'
  readonly userId?: UserId
}

/** What the service is made from. */
export interface UsersOptions {
  readonly database: Database
  readonly passwords: Passwords
  readonly throttle: Throttle
  readonly clock: Clock
  readonly random: Random
}

/** Makes the service. */
export function createUsers(options: UsersOptions): Users {
  const { database, passwords, throttle, clock, random } = options
  const confirmation = createConfirmation(options)
  return {
    async prepare({ email, password, attempt }, client) {
      // Hashed before the index is asked: a taken address takes as long as a free one.
      const passwordHash = await passwords.hash(password, { attempt, client })
      const row = newRow(email, { passwordHash, createdAt: clock.now(), disabledAt: null })
      return { user: toUser(row), row }
    },

    importAll(imported) {
      const now = clock.now()
      const rows = imported.map(({ email, passwordHash, createdAt, disabled }) =>
        newRow(email, {
          passwordHash,
          createdAt: createdAt ?? now,
          disabledAt: disabled ? now : null,
        }),
      )
      return database.write((db) => insertNewUsers(db, rows))
    },

    async authenticate({ email, password }, client) {
      const attempt = throttle.password({ emailKey: email.key, clientAddress: client.address })
      const find = userOfEmail(email.key)
      const { row, confirmed } = await confirmation.check(password, find, { attempt, client })
      if (!row) return { kind: 'refused', reason: 'unknown_user' }
      const { id: userId } = row
      if (!confirmed) return { kind: 'refused', reason: 'wrong_password', userId }
      // Told apart only after the hash, and only for the log.
      if (confirmed.user.disabledAt) return { kind: 'refused', reason: 'disabled', userId }
      const current = await confirmation.rehash(confirmed, password, client)
      if (!current) return { kind: 'refused', reason: 'wrong_password', userId }
      return { kind: 'confirmed', ...current }
    },

    async confirm(viewer, text, client) {
      const [email, password] = [readEmail(viewer.email), readPassword(text)]
      if (typeof email === 'string' || password === null) return null
      const who = { emailKey: email.key, clientAddress: client.address }
      const attempt = throttle.reauthentication(who)
      const find = userOfId(toUserId(viewer.userId))
      const { confirmed } = await confirmation.check(password, find, { attempt, client })
      if (!confirmed || confirmed.user.disabledAt) return null
      // A login at the same time would replace an outdated hash, and what follows here find another than was checked.
      return await confirmation.rehash(confirmed, password, client)
    },

    async find(name) {
      const email = readEmail(name)
      // No id is an address: it has no @.
      const which = typeof email === 'string' ? userOfId(toUserId(name)) : userOfEmail(email.key)
      const row = await database.read((db) => selectUser(db, which))
      return row ? toUser(row) : null
    },

    async list(page) {
      const rows = await database.read((db) => selectUsers(db, page))
      return rows.map(toUser)
    },

    async enable(id) {
      if (!(await database.write((db) => enableUser(db, id)))) throw new AuthError('NOT_FOUND')
    },

    async require(id) {
      // Only the primary may say that there is no such user: a read replica may not have one who has just signed up.
      const row = await database.readStale((db) => selectUser(db, userOfId(id)), Boolean)
      if (!row) throw new AuthError('UNAUTHENTICATED')
      return toUser(row)
    },
  }

  function newRow(
    { address, key }: Email,
    more: Pick<UserRow, 'passwordHash' | 'createdAt' | 'disabledAt'>,
  ): UserRow {
    return { id: toUserId(random.id('usr')), email: address, emailKey: key, ...more }
  }
}
