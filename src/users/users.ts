// Users: made once per e-mail address, authenticated in equal time whether they exist or not.

import { AuthError } from '../errors.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Password } from '../passwords/password.ts'
import type { Passwords } from '../passwords/passwords.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import { StorageFault } from '../storage/faults.ts'
import type { Email } from './email.ts'
import type { UserRow } from './store.ts'
import { insertUser, selectUser, selectUserByEmail } from './store.ts'
import type { User, UserId } from './user.ts'
import { toUserId } from './user.ts'

/** The rules about users. */
export interface Users {
  /** Makes a user. Throws `EMAIL_TAKEN`; the unique index decides, so two at once make one. */
  create(input: { email: Email; password: Password }): Promise<User>
  /** The user whom e-mail and password belong to, or why not. One hash is computed in either case. */
  authenticate(input: { email: Email; password: Password }): Promise<Authentication>
  /** The user, or null. */
  find(id: UserId): Promise<User | null>
  /** The user of a token. Throws `UNAUTHENTICATED` when there is none any more. */
  require(id: UserId): Promise<User>
}

/** The reasons are for the log; the client learns none. */
export type Authentication =
  | { readonly user: User }
  | { readonly user: null; readonly reason: 'unknown_user' }
  | { readonly user: null; readonly reason: 'wrong_password'; readonly userId: UserId }

/** What the service is made from. */
export interface UsersOptions {
  readonly database: Database
  readonly passwords: Passwords
  readonly clock: Clock
  readonly random: Random
}

/** Makes the service. */
export function createUsers({ database, passwords, clock, random }: UsersOptions): Users {
  return {
    async create({ email, password }) {
      const row: UserRow = {
        id: random.id('usr'),
        email: email.address,
        emailKey: email.key,
        // Hashed before the index is asked: a taken address takes as long as a free one.
        passwordHash: await passwords.hash(password),
        createdAt: clock.now(),
      }
      try {
        await database.write((db) => insertUser(db, row))
      } catch (error) {
        if (error instanceof StorageFault && error.code === 'conflict')
          throw new AuthError('EMAIL_TAKEN', { field: 'email' })
        throw error
      }
      return toUser(row)
    },

    async authenticate({ email, password }) {
      const row = await database.read((db) => selectUserByEmail(db, email.key))
      if (!row) return { user: await nobody(password), reason: 'unknown_user' }
      const matches = await passwords.verify(password, row.passwordHash as PasswordHash)
      return matches
        ? { user: toUser(row) }
        : { user: null, reason: 'wrong_password', userId: toUserId(row.id) }
    },

    find,

    async require(id) {
      const user = await find(id)
      if (!user) throw new AuthError('UNAUTHENTICATED')
      return user
    },
  }

  async function find(id: UserId): Promise<User | null> {
    const row = await database.read((db) => selectUser(db, id))
    return row ? toUser(row) : null
  }

  async function nobody(password: Password): Promise<null> {
    await passwords.verifyNobody(password)
    return null
  }
}

function toUser(row: UserRow): User {
  return { id: toUserId(row.id), email: row.email, createdAt: new Date(row.createdAt) }
}
