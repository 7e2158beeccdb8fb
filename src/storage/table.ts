// One row that every replica writes each second, to know that writing works. A database that still reads but no
// longer writes looks healthy to everything else.

import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'

/** Its only row has the id 1. */
export const heartbeats = sqliteTable('heartbeats', {
  id: integer('id').primaryKey(),
  /** Milliseconds since 1970. */
  at: integer('at').notNull(),
})
