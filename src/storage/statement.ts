// Statements as data: a text and the values of its placeholders. Several of them, also of different requests, can then share
// one transaction (group-commit.ts), a read can send one by itself, and a text that every login or refresh needs is built once:
// building takes Drizzle as long as executing takes SQLite.

import type { Client, InArgs, ResultSet } from '@libsql/client'
import type { SQL } from 'drizzle-orm'
import { fillPlaceholders } from 'drizzle-orm'
import { SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core'

/** One statement. */
export interface Statement<Row = unknown> {
  readonly sql: string
  readonly args: InArgs
  /** Never set. It carries the type of the rows, which the author of the text knows. */
  readonly row?: Row
}

/** What to write in one transaction with a change: `takesEffect` is SQL that is true there if that change takes effect. */
export type WrittenWith = (takesEffect: SQL) => readonly Statement[]

/** What a statement did. */
export interface Outcome<Row> {
  readonly rows: readonly Row[]
  readonly rowsAffected: number
}

/** What each of several statements did. */
export type Outcomes<Statements extends readonly Statement[]> = {
  readonly [I in keyof Statements]: Statements[I] extends Statement<infer Row>
    ? Outcome<Row>
    : never
}

const dialect = new SQLiteAsyncDialect()

/** The statement of a text. */
export function statement<Row>(text: SQL): Statement<Row> {
  const { sql, params } = dialect.sqlToQuery(text)
  return { sql, args: argsOf(params) }
}

/** The same with a text that is built once. What changes from one execution to the next is a `sql.placeholder`. */
export function preparedStatement<Row>(
  text: SQL,
): (values: Readonly<Record<string, unknown>>) => Statement<Row> {
  const { sql, params } = dialect.sqlToQuery(text)
  return (values) => ({ sql, args: argsOf(fillPlaceholders(params, values)) })
}

/**
 * Lone surrogates become U+FFFD, as in a file. A client may send one as an id, and a server would refuse the whole transaction
 * for it, with the statements of others.
 */
function argsOf(values: readonly unknown[]): InArgs {
  return values.map((value) => (typeof value === 'string' ? value.toWellFormed() : value)) as InArgs
}

/** Reads the rows that a statement finds. Reads share nothing: it is sent by itself. */
export async function readRows<Row>(
  { $client }: { readonly $client: Client },
  { sql, args }: Statement<Row>,
): Promise<readonly Row[]> {
  const { rows } = await $client.execute({ sql, args })
  // The driver's rows have a property for each column, which its type does not know.
  return rows as unknown as Row[]
}

/** The outcomes as their statements have them: rows have a property for each column. */
export function outcomesOf<Statements extends readonly Statement[]>(
  results: readonly ResultSet[],
): Outcomes<Statements> {
  return results as unknown as Outcomes<Statements>
}
