// Statements that are kept: the client gets the same ones again, and nobody notices but by the time it takes. And connections
// that met a lock: they are closed before anything is written on them that would be lost.

import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import Binding from 'libsql'
import { adaptBinding } from './binding.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-binding-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

adaptBinding()

const INSERT = 'INSERT INTO rows (id, value) VALUES (?, ?)'
const SELECT = 'SELECT id, value FROM rows ORDER BY id'

let path = ''
beforeEach(async () => {
  files += 1
  path = join(folder, `${files}.db`)
  await openClient().execute('CREATE TABLE rows (id INTEGER PRIMARY KEY, value)')
})

function openClient() {
  return createClient({ url: `file:${path}` })
}

test('a connection prepares a text once, and another one by itself', () => {
  const [one, other] = [new Binding(path), new Binding(path)]
  expect(one.prepare(SELECT)).toBe(one.prepare(SELECT))
  expect(one.prepare(SELECT)).not.toBe(other.prepare(SELECT))
})

test('the client of the database uses the adapted connections', async () => {
  const client = openClient()
  const kept = Binding.prototype.prepare
  const texts: string[] = []
  Binding.prototype.prepare = function (this: typeof Binding.prototype, text: string) {
    texts.push(text)
    return kept.call(this, text)
  } as typeof kept
  try {
    await client.execute(SELECT)
  } finally {
    Binding.prototype.prepare = kept
  }
  expect(texts).toEqual([SELECT])
})

test('adapting the binding twice changes nothing', () => {
  const before = Binding.prototype.prepare
  adaptBinding()
  expect(Binding.prototype.prepare).toBe(before)
})

test('each execution has its own values and its own outcome', async () => {
  const client = openClient()
  const values = ['가나다', 1.5, 7, null, new Uint8Array([1, 2]).buffer]
  for (const [id, value] of values.entries()) {
    const { rowsAffected, lastInsertRowid } = await client.execute({
      sql: INSERT,
      args: [id, value],
    })
    expect([rowsAffected, lastInsertRowid]).toEqual([1, BigInt(id)])
  }
  for (let times = 0; times < 2; times += 1) {
    const { columns, rows } = await client.execute(SELECT)
    expect(columns).toEqual(['id', 'value'])
    expect(rows.map(({ id, value }) => [id, value])).toEqual([...values.entries()])
  }
  const returning = 'UPDATE rows SET value = ? WHERE id = ? RETURNING value'
  for (const value of ['a', 'b']) {
    const { rows } = await client.execute({ sql: returning, args: [value, 0] })
    expect(rows.map((row) => row['value'])).toEqual([value])
  }
})

test('a placeholder that got no value does not keep one of somebody else', async () => {
  const client = openClient()
  await client.execute({ sql: INSERT, args: [1, 'of somebody else'] })
  await expect(client.execute({ sql: INSERT, args: [2] })).rejects.toThrow('1 values, and 2 before')
  await client.execute({ sql: INSERT, args: [3, 'of a third'] })
  const { rows } = await client.execute(SELECT)
  expect(rows.map(({ id }) => id)).toEqual([1, 3])
})

test('an integer that a number cannot hold is refused, not rounded', async () => {
  const read = 'SELECT 9007199254740993 AS n'
  for (let times = 0; times < 2; times += 1)
    await expect(openClient().execute(read)).rejects.toThrow('cannot be safely represented')
})

test('a statement that has failed is prepared anew, and works', async () => {
  const connection = new Binding(path)
  const [insert, select] = [connection.prepare(INSERT), connection.prepare(SELECT)]
  insert.run([1, 'a'])
  expect(() => insert.run([1, 'a'])).toThrow('UNIQUE')
  expect(connection.prepare(INSERT)).not.toBe(insert)
  expect(connection.prepare(SELECT)).not.toBe(select)
  connection.prepare(INSERT).run([2, 'b'])
  expect(connection.prepare(SELECT).all([])).toHaveLength(2)
})

test('a table that another connection has changed or made anew is read as it is', async () => {
  const [client, other] = [openClient(), openClient()]
  const read = async () => (await client.execute(SELECT)).rows.map(({ id, value }) => [id, value])
  await client.execute({ sql: INSERT, args: [1, 'old'] })
  expect(await read()).toEqual([[1, 'old']])
  await other.execute('ALTER TABLE rows ADD COLUMN more TEXT')
  expect(await read()).toEqual([[1, 'old']])
  await other.execute('DROP TABLE rows')
  await expect(read()).rejects.toThrow('no such table')
  await other.execute('CREATE TABLE rows (more TEXT, value, id INTEGER PRIMARY KEY)')
  await client.execute({ sql: INSERT, args: [2, 'new'] })
  expect(await read()).toEqual([[2, 'new']])
})

test('a connection does not keep more than some hundred statements', () => {
  const connection = new Binding(path)
  const first = connection.prepare(SELECT)
  for (let n = 0; n < 400; n += 1) connection.prepare(`SELECT ${n}`)
  expect(connection.prepare(SELECT)).not.toBe(first)
})

describe('a lock held by somebody else', () => {
  test('closes the connection that met it, and no other', () => {
    const [holder, one, other] = [new Binding(path), new Binding(path), new Binding(path)]
    for (const connection of [holder, one, other]) connection.prepare(SELECT).all([])
    holder.prepare('BEGIN IMMEDIATE').run([])
    expect(() => one.prepare(INSERT).run([1, 'a'])).toThrow('locked')
    expect([holder.open, one.open, other.open]).toEqual([true, false, true])
    holder.prepare('ROLLBACK').run([])
  })

  test('is met in a transaction, which the client can leave', async () => {
    const [client, other] = [openClient(), openClient()]
    const held = await other.transaction('write')
    const transaction = await client.transaction('deferred')
    await expect(transaction.execute({ sql: INSERT, args: [1, 'a'] })).rejects.toThrow('locked')
    transaction.close()
    await expect(client.transaction('write')).rejects.toThrow('locked')
    await held.rollback()
    await client.execute({ sql: INSERT, args: [2, 'b'] })
    const { rows } = await openClient().execute(SELECT)
    expect(rows.map(({ id }) => id)).toEqual([2])
  })

  test('leaves nothing behind that keeps the log of writes from being emptied, whoever read meanwhile', async () => {
    const [client, other] = [openClient(), openClient()]
    await client.execute('PRAGMA journal_mode = WAL')
    for (let round = 1; round <= 5; round += 1) {
      const held = await other.transaction('write')
      const batch = client.batch([{ sql: INSERT, args: [round, 'a'] }], 'deferred')
      const reads = Array.from({ length: 20 }, () => client.execute(SELECT))
      await expect(batch).rejects.toThrow('locked')
      await Promise.all(reads)
      await held.rollback()
      await client.execute({ sql: INSERT, args: [round, 'b'] })
      const { rows } = await other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
      expect(rows.map((row) => row['busy'])).toEqual([0])
    }
  })
})
