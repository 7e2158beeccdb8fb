// The attempts that count against somebody, and the addresses that users have logged in from. Keyed digests stand for
// e-mails and addresses: whoever reads the tables learns neither.

import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** Times are milliseconds since 1970. */
export const throttles = sqliteTable(
  'throttles',
  {
    /** What is counted, a colon, and the digest of whom it counts. */
    key: text('key').primaryKey(),
    count: integer('count').notNull(),
    /** When the next attempt is allowed. */
    nextAt: integer('next_at').notNull(),
    /** When all of it is forgotten. */
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [index('throttles_expires_at').on(table.expiresAt)],
)

/** A user and an address that they have logged in from, both as digests. Forgotten at `expiresAt`, milliseconds since 1970. */
export const knownAddresses = sqliteTable(
  'known_addresses',
  {
    user: text('user').notNull(),
    address: text('address').notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.user, table.address] }),
    index('known_addresses_expires_at').on(table.expiresAt),
  ],
)
