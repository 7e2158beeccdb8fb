// Statements on a database file are prepared once for each connection. @libsql/client prepares each of them again for every
// execution, which is a third of what a short write costs, and has no setting for that. So what it prepares with, its
// binding's `prepare`, gives out again what it made before.

import Binding from 'libsql'
import type { Recent } from '../platform/recent.ts'
import { createRecent } from '../platform/recent.ts'

/** What the client does with a statement. */
interface Executable {
  safeIntegers(on: boolean): void
  /** Throws if the statement gives no rows. */
  raw(on: boolean): void
  columns(): unknown[]
  all(...values: readonly unknown[]): unknown[]
  run(...values: readonly unknown[]): unknown
}

interface Statement extends Executable {
  readonly reader: boolean
}

/** A connection to a file. */
interface Connection {
  prepare(sql: string): Executable
}

/** For each connection. Far more than we have: texts that occur once must not drive out the others. */
const KEPT = 200

const connections: Connection = Binding.prototype
const prepareAnew = connections.prepare as (sql: string) => Statement

/** From now on the connections of this process keep what they prepare. */
export function keepStatements(): void {
  if (connections.prepare !== prepareAnew) return
  const kept = new WeakMap<Connection, Recent<Executable>>()
  connections.prepare = function (sql) {
    const statements = kept.get(this) ?? createRecent<Executable>(KEPT)
    kept.set(this, statements)
    const known = statements.get(sql)
    if (known) return known
    const statement = keep(prepareAnew.call(this, sql), () => kept.delete(this))
    statements.set(sql, statement)
    return statement
  }
}

/** How the client learns that it should ask for the number of changed rows. It drops the error. */
const NO_ROWS = new Error('this statement gives no rows')

/**
 * The client sets the same modes each time, so they are set once. `forget` is called when the statement has failed: it may not
 * have come to its end, and while it has not, SQLite commits nothing on its connection.
 */
function keep(statement: Statement, forget: () => void): Executable {
  statement.safeIntegers(true)
  const hasRows = statement.reader
  if (hasRows) statement.raw(true)
  const columns = hasRows ? statement.columns() : []
  let places: number | undefined
  return {
    safeIntegers() {},
    raw() {
      if (!hasRows) throw NO_ROWS
    },
    columns: () => columns,
    all: (...values) => execute(values, () => statement.all(...values)),
    run: (...values) => execute(values, () => statement.run(...values)),
  }

  function execute<T>([values]: readonly unknown[], work: () => T): T {
    // A place without a value would keep that of the last execution.
    const given = Array.isArray(values) ? values.length : 0
    places ??= given
    if (given !== places) throw new TypeError(`${given} values for ${places} places`)
    try {
      return work()
    } catch (error) {
      forget()
      throw error
    }
  }
}
