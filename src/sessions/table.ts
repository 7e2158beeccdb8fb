// The sessions, and those that ended, as long as replicas have to know of them: while an access token of theirs can live.

import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { users } from '../users/table.ts'
import type { UserId } from '../users/user.ts'
import type { SessionId } from './session.ts'

/** Times are milliseconds since 1970. */
export const sessions = sqliteTable(
  'sessions',
  {
    id: text('id').$type<SessionId>().primaryKey(),
    userId: text('user_id')
      .$type<UserId>()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** How often it was refreshed: the generation of the one refresh token that works. */
    generation: integer('generation').notNull(),
    /** SHA-256 of that token's secret. The secret itself is nowhere. */
    secretHash: text('secret_hash').notNull(),
    createdAt: integer('created_at').notNull(),
    lastUsedAt: integer('last_used_at').notNull(),
    /** The earlier of the idle and the absolute limit. */
    expiresAt: integer('expires_at').notNull(),
    /** The absolute limit. */
    endsAt: integer('ends_at').notNull(),
    clientAddress: text('client_address').notNull(),
    client: text('client').notNull(),
  },
  (table) => [
    index('sessions_user_id_created_at').on(table.userId, table.createdAt, table.id),
    index('sessions_expires_at').on(table.expiresAt),
  ],
)

/** A row for each session that ended by decision; those that expire have none. `endedAt` is milliseconds since 1970. */
export const endedSessions = sqliteTable(
  'ended_sessions',
  {
    /** Grows in the order of commits, since there is one writer: what replicas follow. */
    sequence: integer('sequence').primaryKey({ autoIncrement: true }),
    sessionId: text('session_id').$type<SessionId>().notNull(),
    reason: text('reason').notNull(),
    endedAt: integer('ended_at').notNull(),
  },
  (table) => [index('ended_sessions_ended_at').on(table.endedAt)],
)
