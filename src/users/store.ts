// The statements on users.

import type { SQL } from 'drizzle-orm'
import { and, eq, getTableColumns, sql } from 'drizzle-orm'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Db } from '../storage/database.ts'
import type { Statement } from '../storage/statement.ts'
import { preparedStatement, readRows, statement } from '../storage/statement.ts'
import type { EmailKey } from './email.ts'
import { users } from './table.ts'
import type { User, UserId } from './user.ts'

/** A row of the table. */
export type UserRow = typeof users.$inferSelect

/** The user of a row, which holds more than others may see. */
export function toUser(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    createdAt: new Date(row.createdAt),
    disabledAt: row.disabledAt === null ? null : new Date(row.disabledAt),
  }
}

/** Adds a user. A taken e-mail makes the unique index throw. */
export function insertingUser(row: UserRow): Statement {
  return statement(sql`INSERT INTO users (id, email, email_key, password_hash, created_at, disabled_at)
    VALUES (${row.id}, ${row.email}, ${row.emailKey}, ${row.passwordHash}, ${row.createdAt}, ${row.disabledAt})`)
}

/** Adds those users whose e-mail has none yet, in one statement. Returns how many were added. */
export async function insertNewUsers(db: Db, rows: readonly UserRow[]): Promise<number> {
  const { rowsAffected } = await db
    .insert(users)
    .values([...rows])
    .onConflictDoNothing({ target: users.emailKey })
  return rowsAffected
}

/** Every column by the name that it has in a row. */
const COLUMNS = sql.join(
  Object.entries(getTableColumns(users)).map(
    ([name, column]) => sql`${sql.identifier(column.name)} AS ${sql.identifier(name)}`,
  ),
  sql`, `,
)

/** Finds the user of a canonical e-mail. */
export function userOfEmail(emailKey: EmailKey): Statement<UserRow> {
  return preparedOfEmail({ emailKey })
}

const preparedOfEmail = preparedStatement<UserRow>(
  sql`SELECT ${COLUMNS} FROM users WHERE email_key = ${sql.placeholder('emailKey')}`,
)

/** Finds the user of an id. */
export function userOfId(userId: UserId): Statement<UserRow> {
  return preparedOfId({ userId })
}

const preparedOfId = preparedStatement<UserRow>(
  sql`SELECT ${COLUMNS} FROM users WHERE id = ${sql.placeholder('userId')}`,
)

/** The user that a statement finds, if there is one. */
export async function selectUser(db: Db, which: Statement<UserRow>): Promise<UserRow | undefined> {
  const [row] = await readRows(db, which)
  return row
}

/** Users in the order of their ids, which grow with time. */
export async function selectUsers(
  db: Db,
  { after, limit }: { after: string; limit: number },
): Promise<UserRow[]> {
  return await db.select().from(users).where(sql`id > ${after}`).orderBy(users.id).limit(limit)
}

/** Replaces a hash by another of the same password. False: it was replaced meanwhile, perhaps by that of a new password. */
export async function replaceHash(
  db: Db,
  { userId, from, to }: { userId: UserId; from: PasswordHash; to: PasswordHash },
): Promise<boolean> {
  const { rowsAffected } = await db
    .update(users)
    .set({ passwordHash: to })
    .where(and(eq(users.id, userId), eq(users.passwordHash, from)))
  return rowsAffected === 1
}

/** True while a user has this password hash and may log in. */
export function stillHas(userId: UserId, passwordHash: PasswordHash): SQL {
  return sql`EXISTS (SELECT 1 FROM users WHERE id = ${userId} AND password_hash = ${passwordHash} AND disabled_at IS NULL)`
}

/** Lets a disabled user log in again. False: there is no such user any more. */
export async function enableUser(db: Db, userId: UserId): Promise<boolean> {
  const { rowsAffected } = await db
    .update(users)
    .set({ disabledAt: null })
    .where(eq(users.id, userId))
  return rowsAffected === 1
}
