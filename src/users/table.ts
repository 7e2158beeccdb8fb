// The users. The unique index on the canonical e-mail decides about duplicates, between replicas too.

import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { EmailKey } from './email.ts'
import type { UserId } from './user.ts'

export const users = sqliteTable('users', {
  id: text('id').$type<UserId>().primaryKey(),
  /** As typed, less outer spaces. */
  email: text('email').notNull(),
  /** Canonical: lower case, domain in A-labels. What addresses are compared by. */
  emailKey: text('email_key').$type<EmailKey>().notNull().unique(),
  passwordHash: text('password_hash').$type<PasswordHash>().notNull(),
  /** Milliseconds since 1970. */
  createdAt: integer('created_at').notNull(),
  /** Since when the user may not log in; null: they may. */
  disabledAt: integer('disabled_at'),
})
