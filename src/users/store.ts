// The statements on users.

import { eq, gt } from 'drizzle-orm'
import type { Db } from '../storage/database.ts'
import type { EmailKey } from './email.ts'
import { users } from './table.ts'
import type { UserId } from './user.ts'

/** A row of the table. */
export type UserRow = typeof users.$inferSelect

/** Adds a user. A taken e-mail makes the unique index throw. */
export async function insertUser(db: Db, row: UserRow): Promise<void> {
  await db.insert(users).values(row)
}

/** The user of a canonical e-mail. */
export async function selectUserByEmail(db: Db, emailKey: EmailKey): Promise<UserRow | undefined> {
  return await db.select().from(users).where(eq(users.emailKey, emailKey)).get()
}

/** The user of an id. */
export async function selectUser(db: Db, userId: UserId): Promise<UserRow | undefined> {
  return await db.select().from(users).where(eq(users.id, userId)).get()
}

/** Users in the order of their ids, which grow with time. */
export async function selectUsers(
  db: Db,
  { after, limit }: { after: string; limit: number },
): Promise<UserRow[]> {
  return await db.select().from(users).where(gt(users.id, after)).orderBy(users.id).limit(limit)
}

/** Lifts the decision that a user may not log in. */
export async function enableUser(db: Db, userId: UserId): Promise<void> {
  await db.update(users).set({ disabledAt: null }).where(eq(users.id, userId))
}
