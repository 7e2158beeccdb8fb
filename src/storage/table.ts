// What every replica writes each second, to know that writing works, and when it last did not. A database that still reads but
// no longer writes looks healthy to everything else.

import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'

/** The ids of its rows: when a replica wrote last, and where the last standstill began and ended. */
export const [BEAT, STILL_FROM, STILL_TO] = [1, 2, 3] as const

/** Rows 2 and 3 are for replicas that start after the standstill: those that ran remember it. */
export const heartbeats = sqliteTable('heartbeats', {
  id: integer('id').primaryKey(),
  /** Milliseconds since 1970. */
  at: integer('at').notNull(),
})
