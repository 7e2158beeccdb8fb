// Statements that every login or refresh needs: their text is built once instead of each time, which takes Drizzle as long as
// SQLite takes to execute them.

import type { Db } from './database.ts'

/** Remembers what `prepare` makes for a database. What changes from one execution to the next is a `sql.placeholder`. */
export function prepared<Statement>(prepare: (db: Db) => Statement): (db: Db) => Statement {
  const statements = new WeakMap<Db, Statement>()
  return (db) => {
    const known = statements.get(db)
    if (known) return known
    const made = prepare(db)
    statements.set(db, made)
    return made
  }
}
