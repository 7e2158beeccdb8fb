// libSQL's binding, with what @libsql/client lacks and has no setting for: a connection to a file prepares a text once instead of
// for every execution, and a connection that met another's lock is closed.

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

/** Statements kept for each connection. Far more than we have, so that texts that occur once do not drive out the others. */
const KEPT = 200

const connections: Connection = Binding.prototype
const prepareAnew = connections.prepare as (sql: string) => Statement

/** Adapts all connections of this process. Texts must name their columns: `*` would stay what it was when it was prepared. */
export function adaptBinding(): void {
  if (connections.prepare !== prepareAnew) return
  const kept = new WeakMap<Connection, Recent<Executable>>()
  connections.prepare = function (sql) {
    const known = kept.get(this)?.get(sql)
    if (known) return known
    const statement = keep(prepareAnew.call(this, sql), (error) => {
      kept.delete(this)
      // The binding leaves a statement that met a lock unfinished, and as long as there is one SQLite commits nothing on its
      // connection: later writes would be acknowledged and lost. The client drops a closed connection and opens another.
      if (toFault(error).code === 'busy') this.close()
    })
    const statements = kept.get(this) ?? createRecent<Executable>(KEPT)
    statements.set(sql, statement)
    kept.set(this, statements)
    return statement
  }
}

/** The client learns by this from `raw` that there are no rows. It drops the error, and asks for the number of changed rows instead. */
const NO_ROWS = new Error('this statement gives no rows')

/** The client sets modes before each execution, always the same ones: here they are set once, and its calls do nothing. */
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
      // A placeholder without a value would keep the one of the last execution.
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
