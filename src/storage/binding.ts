// libSQL's binding, with what @libsql/client lacks and has no setting for: a connection to a file prepares a text once instead of
// for every execution, and a connection that met the lock of somebody else is closed.

import Binding from 'libsql'
import type { Recent } from '../platform/recent.ts'
import { createRecent } from '../platform/recent.ts'
import { toFault } from './faults.ts'

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
  close(): void
}

/** For each connection. Far more than we have: texts that occur once must not drive out the others. */
const KEPT = 200

const connections: Connection = Binding.prototype
const prepareAnew = connections.prepare as (sql: string) => Statement

/** From now on the connections of this process are such. Their texts name all columns: `*` would be what it was the first time. */
export function adaptBinding(): void {
  if (connections.prepare !== prepareAnew) return
  const kept = new WeakMap<Connection, Recent<Executable>>()
  connections.prepare = function (sql) {
    const known = kept.get(this)?.get(sql)
    if (known) return known
    const statement = keep(prepareAnew.call(this, sql), (error) => {
      kept.delete(this)
      // The binding leaves a statement that met a lock unfinished, and while one is, SQLite commits nothing on its connection:
      // what is written next would be acknowledged and lost. A closed connection the client drops, and opens another.
      if (toFault(error).code === 'busy') this.close()
    })
    const statements = kept.get(this) ?? createRecent<Executable>(KEPT)
    statements.set(sql, statement)
    kept.set(this, statements)
    return statement
  }
}

/** How the client learns that it should ask for the number of changed rows. It drops the error. */
const NO_ROWS = new Error('this statement gives no rows')

/** The client sets the same modes each time, so they are set once. */
function keep(statement: Statement, onFailure: (error: unknown) => void): Executable {
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
    try {
      // A place that gets no value would keep that of the last execution.
      const given = Array.isArray(values) ? values.length : 0
      places ??= given
      if (given !== places) throw new TypeError(`${given} values, and ${places} before`)
      return work()
    } catch (error) {
      onFailure(error)
      throw error
    }
  }
}
