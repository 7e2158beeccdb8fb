// Users: made once per e-mail address, authenticated in equal time whether they exist or not.

import { AuthError } from '../errors.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Password } from '../passwords/password.ts'
import { readPassword } from '../passwords/password.ts'
import type { Passwords } from '../passwords/passwords.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import { StorageFault } from '../storage/faults.ts'
import type { Email } from './email.ts'
import { readEmail } from './email.ts'
import type { ImportedUser } from './imported-user.ts'
import type { UserRow } from './store.ts'
import {
  enableUser,
  insertNewUsers,
  insertUser,
  replaceHash,
  selectUser,
  selectUserByEmail,
  selectUsers,
} from './store.ts'
import type { User, UserId } from './user.ts'
import { toUserId } from './user.ts'

/** The rules about users. */
export interface Users {
  /** Makes a user. Throws `EMAIL_TAKEN`; the unique index decides, so two at once make one. */
  create(input: { email: Email; password: Password }): Promise<Confirmed>
  /** Takes over users of another system, but for those whose address is taken. Returns how many were added. */
  importAll(imported: readonly ImportedUser[]): Promise<number>
  /**
   * The user whom e-mail and password belong to, or why not. One hash is computed in either case; a second one when the
   * password is right and its hash is not of today's kind and cost: it is replaced.
   */
  authenticate(input: {
    email: Email
    password: Password
  }): Promise<({ readonly kind: 'confirmed' } & Confirmed) | Refused>
  /** The user of an id whose password this is, for what needs more than a token. Throws `INVALID_CREDENTIALS`. */
  confirm(id: UserId, password: string): Promise<Confirmed>
  /** The user, or null. */
  find(id: UserId): Promise<User | null>
  /** The user of an e-mail address, however it is written, or null. */
  findByEmail(email: string): Promise<User | null>
  /** Users by the order of their ids, which is that of their signup: those after one of them. */
  list(page: { after: string; limit: number }): Promise<User[]>
  /** Lets a disabled user log in again. */
  enable(id: UserId): Promise<void>
  /** The user of a token. Throws `UNAUTHENTICATED` when there is none any more. */
  require(id: UserId): Promise<User>
}

/**
 * A user whose password was shown, and the hash it was checked against: what follows is written only if the hash is
 * still the same, so that no session outlives a change of password that happened in between.
 */
export interface Confirmed {
  readonly user: User
  readonly passwordHash: PasswordHash
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
  readonly clock: Clock
  readonly random: Random
}

/** Makes the service. */
export function createUsers({ database, passwords, clock, random }: UsersOptions): Users {
  return {
    async create({ email, password }) {
      // Hashed before the index is asked: a taken address takes as long as a free one.
      const passwordHash = await passwords.hash(password)
      const row: UserRow = {
        id: random.id('usr'),
        email: email.address,
        emailKey: email.key,
        passwordHash,
        createdAt: clock.now(),
        disabledAt: null,
      }
      try {
        await database.write((db) => insertUser(db, row))
      } catch (error) {
        if (error instanceof StorageFault && error.code === 'conflict')
          throw new AuthError('EMAIL_TAKEN', { field: 'email' })
        throw error
      }
      return { user: toUser(row), passwordHash }
    },

    importAll(imported) {
      const now = clock.now()
      const rows = imported.map(({ email, passwordHash, createdAt, disabled }) => ({
        id: random.id('usr'),
        email: email.address,
        emailKey: email.key,
        passwordHash,
        createdAt: createdAt ?? now,
        disabledAt: disabled ? now : null,
      }))
      return database.write((db) => insertNewUsers(db, rows))
    },

    async authenticate({ email, password }) {
      const row = await database.read((db) => selectUserByEmail(db, email.key))
      if (!row) {
        await passwords.verifyNobody(password)
        return { kind: 'refused', reason: 'unknown_user' }
      }
      const confirmed = await matching(row, password)
      const userId = toUserId(row.id)
      if (!confirmed) return { kind: 'refused', reason: 'wrong_password', userId }
      // Told apart only after the hash, and only for the log.
      if (confirmed.user.disabledAt) return { kind: 'refused', reason: 'disabled', userId }
      const current = await withCurrentHash(confirmed, password)
      if (!current) return { kind: 'refused', reason: 'wrong_password', userId }
      return { kind: 'confirmed', ...current }
    },

    async confirm(id, text) {
      const password = readPassword(text)
      const row = password && (await database.read((db) => selectUser(db, id)))
      const confirmed = row && (await matching(row, password))
      if (!confirmed || confirmed.user.disabledAt) throw new AuthError('INVALID_CREDENTIALS')
      return confirmed
    },

    find,

    async findByEmail(text) {
      const email = readEmail(text)
      if (typeof email === 'string') return null
      const row = await database.read((db) => selectUserByEmail(db, email.key))
      return row ? toUser(row) : null
    },

    async list(page) {
      const rows = await database.read((db) => selectUsers(db, page))
      return rows.map(toUser)
    },

    enable: (id) => database.write((db) => enableUser(db, id)),

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

  /** Null: the password was changed in the meantime. */
  async function withCurrentHash(
    confirmed: Confirmed,
    password: Password,
  ): Promise<Confirmed | null> {
    const { user, passwordHash: from } = confirmed
    const to = passwords.isCurrent(from) ? null : await hashUnlessBusy(password)
    if (to === null) return confirmed
    const replaced = await database.write((db) => replaceHash(db, { userId: user.id, from, to }))
    if (replaced) return { user, passwordHash: to }
    // Another login was faster, or a change of password: what is there now decides.
    const row = await database.read((db) => selectUser(db, user.id))
    return row ? await matching(row, password) : null
  }

  /** Null when too many wait: the login goes on with the old hash, and the next one will replace it. */
  async function hashUnlessBusy(password: Password): Promise<PasswordHash | null> {
    try {
      return await passwords.hash(password)
    } catch (error) {
      if (error instanceof AuthError && error.code === 'OVERLOADED') return null
      throw error
    }
  }

  async function matching(row: UserRow, password: Password): Promise<Confirmed | null> {
    const passwordHash = row.passwordHash as PasswordHash
    const matches = await passwords.verify(password, passwordHash)
    return matches ? { user: toUser(row), passwordHash } : null
  }
}

function toUser(row: UserRow): User {
  return {
    id: toUserId(row.id),
    email: row.email,
    createdAt: new Date(row.createdAt),
    disabledAt: row.disabledAt === null ? null : new Date(row.disabledAt),
  }
}
