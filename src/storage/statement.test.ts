// Statements as data.

import { expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { preparedStatement, statement } from './statement.ts'

test('a lone surrogate becomes U+FFFD: a server would refuse the whole transaction, with the statements of others', () => {
  const id = 'ses_\ud800'
  const given = { sql: 'id = ?', args: ['ses_\ufffd'] }
  expect(statement(sql`id = ${id}`)).toEqual(given)
  expect(preparedStatement(sql`id = ${sql.placeholder('id')}`)({ id })).toEqual(given)
})
