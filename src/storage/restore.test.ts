// From one database to another by way of a backup: every row once, under the schema of today; or a refusal.

import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@libsql/client'
import { createClient } from '@libsql/client'
import { createTestRandom } from '../testing/random.ts'
import { BrokenBackup, createSealer } from './archive.ts'
import { connect } from './database.ts'
import { migrate, missingMigrations, newestMigration } from './migrate.ts'
import type { OpenBackup } from './restore.ts'
import { checkBackup, fill, openBackup, strangersIn } from './restore.ts'
import type { Manifest } from './snapshot.ts'
import { readSnapshot, strangersOf } from './snapshot.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const folder = mkdtempSync(join(tmpdir(), 'munjigi-restore-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

function newClient(): Client {
  files += 1
  return createClient({ url: `file:${join(folder, String(files))}` })
}

/** A backup that was sealed from these records, and opened. */
function sealed(records: readonly unknown[]): Promise<OpenBackup> {
  const sealer = createSealer(SECRET, createTestRandom())
  async function* chunks() {
    yield sealer.head
    for (const record of records) yield sealer.frame(record)
    yield sealer.frame({ rows: 0 }, 'last')
  }
  return openBackup(chunks(), [SECRET])
}

const MOMENT = { version: '0.1.0', createdAt: new Date(0) }
const MANIFEST: Manifest = {
  format: 1,
  version: '0.1.0',
  createdAt: '2026-01-01T00:00:00.000Z',
  schema: newestMigration(),
  tables: [{ name: 'heartbeats', columns: ['id', 'at'], rows: 2 }],
}

test('every row comes once, however many there are', async () => {
  const [from, to] = [newClient(), newClient()]
  await migrate(from)
  await from.execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4001)
    INSERT INTO users (id, email, email_key, password_hash, created_at)
    SELECT 'usr_' || i, 'u' || i, 'u' || i, 'hash', i FROM n`)
  const records = await Array.fromAsync(readSnapshot(from, MOMENT))
  await fill(to, await sealed(records), () => {})
  const users = 'SELECT * FROM users ORDER BY rowid'
  expect((await to.execute(users)).rows).toEqual((await from.execute(users)).rows)
  // No lock is left behind.
  await from.execute('DELETE FROM users')
})

test('a backup holds users and what the throttles know; none of it refers to another table', async () => {
  const from = newClient()
  await migrate(from)
  const [manifest] = await Array.fromAsync(readSnapshot(from, MOMENT))
  const { tables } = manifest as Manifest
  expect(tables.map(({ name }) => name)).toEqual(['known_addresses', 'throttles', 'users'])
  const { rows } = await from.execute(
    'SELECT t.name FROM sqlite_schema AS t, pragma_foreign_key_list(t.name)',
  )
  expect(rows.map(({ name }) => name)).toEqual(['sessions'])
})

test('others write while a backup is read, and what they write is not in it', async () => {
  const url = `file:${join(folder, 'written')}`
  const [from, other] = [connect({ url }), connect({ url })]
  await from.execute('PRAGMA journal_mode = WAL')
  await migrate(from)
  const insert = (id: string) =>
    other.execute(`INSERT INTO users (id, email, email_key, password_hash, created_at)
      VALUES ('${id}', '${id}', '${id}', 'hash', 0)`)
  await insert('a')
  const snapshot = readSnapshot(from, MOMENT)
  await snapshot.next()
  await insert('b')
  expect(await Array.fromAsync(snapshot)).toEqual([
    { table: 'users', rows: [['a', 'a', 'a', 'hash', 0, null]] },
  ])
})

test('what a newer program has made is in the backup of an older one', async () => {
  const from = newClient()
  await migrate(from)
  await from.executeMultiple(`CREATE TABLE factors (id TEXT);
    INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('newer', ${newestMigration() + 1})`)
  const [manifest] = await Array.fromAsync(readSnapshot(from, MOMENT))
  expect((manifest as Manifest).tables.map(({ name }) => name)).toContain('factors')
  expect(await strangersOf(from)).toEqual([])
})

test('a database that is busy for a moment, as a server is at a checkpoint, gets every row all the same', async () => {
  const url = `file:${join(folder, 'busy')}`
  const [to, other] = [connect({ url }), connect({ url })]
  const columns = ['id', 'email', 'email_key', 'password_hash', 'created_at']
  const tables = [{ name: 'users', columns, rows: 2 }]
  const page = (id: string) => ({ table: 'users', rows: [[id, id, id, 'hash', 0]] })
  let released: Promise<void> | undefined
  await fill(to, await sealed([{ ...MANIFEST, tables }, page('a'), page('b')]), () => {
    released ??= other.transaction('write').then(async (lock) => {
      await Bun.sleep(300)
      await lock.rollback()
    })
  })
  await released
  const { rows } = await other.execute('SELECT id FROM users ORDER BY id')
  expect(rows.map(({ id }) => id)).toEqual(['a', 'b'])
})

/** With a table and a column that the migrations do not make. */
async function withStrangers(): Promise<Client> {
  const client = newClient()
  await migrate(client)
  await client.executeMultiple(`CREATE TABLE _litestream_seq (seq BLOB PRIMARY KEY) WITHOUT ROWID;
    INSERT INTO _litestream_seq VALUES (x'00');
    ALTER TABLE users ADD COLUMN note TEXT DEFAULT NULL REFERENCES _litestream_seq;
    INSERT INTO users (id, email, email_key, password_hash, created_at) VALUES ('usr_1', 'a', 'b', 'hash', 2)`)
  return client
}

const STRANGERS = ['_litestream_seq', 'users.note']

test('what operators and their tools have put into a database is in no backup, and is named', async () => {
  const from = await withStrangers()
  expect(await strangersOf(from)).toEqual(STRANGERS)
  const [manifest] = await Array.fromAsync(readSnapshot(from, MOMENT))
  expect(await strangersIn(manifest as Manifest)).toEqual([])
  const { tables } = manifest as Manifest
  const users = tables.find(({ name }) => name === 'users')
  expect(users?.rows).toBe(1)
  expect(users?.columns).toContain('disabled_at')
  expect(users?.columns).not.toContain('note')
})

test('what a backup holds of it all the same is left out by the restore, and named', async () => {
  const to = newClient()
  const columns = ['id', 'note', 'email', 'email_key', 'password_hash', 'created_at']
  const tables = [
    { name: '_litestream_seq', columns: ['seq'], rows: 1 },
    { name: 'users', columns, rows: 1 },
  ]
  const rows = [
    { table: '_litestream_seq', rows: [[1]] },
    { table: 'users', rows: [['usr_1', 'of an operator', 'a', 'b', 'hash', 2]] },
  ]
  const backup = await sealed([{ ...MANIFEST, tables }, ...rows])
  expect(await strangersIn(backup.manifest)).toEqual(STRANGERS)
  await fill(to, backup, () => {})
  const users = (await to.execute('SELECT * FROM users')).rows.map((row) => ({ ...row }))
  expect(users).toMatchObject([
    { id: 'usr_1', email: 'a', email_key: 'b', password_hash: 'hash', created_at: 2 },
  ])
})

test('what older backups hold, and is never restored, is no stranger', async () => {
  expect(await strangersIn(MANIFEST)).toEqual([])
})

test('migrations newer than the backup are applied after its rows', async () => {
  const client = newClient()
  const manifest = { ...MANIFEST, schema: newestMigration() - 1, tables: [] }
  const missing = () => missingMigrations(client)
  let beforeRows: string[] = []
  async function* rows(): AsyncGenerator<never> {
    beforeRows = await missing()
    yield* []
  }
  await fill(client, { manifest, rows: rows() }, () => {})
  expect([beforeRows.length, await missing()]).toEqual([1, []])
})

describe('a backup is refused', () => {
  test.each([
    ['of another format', { ...MANIFEST, format: 2 }],
    ['of a newer schema', { ...MANIFEST, schema: newestMigration() + 1 }],
    ['without a manifest', { table: 'heartbeats', rows: [[1, 1]] }],
  ])('%s', async (_, first) => {
    await expect(sealed([first])).rejects.toBeInstanceOf(BrokenBackup)
  })

  test.each([
    ['fewer', [[1, 1]]],
    [
      'more',
      [
        [1, 1],
        [2, 2],
        [3, 3],
      ],
    ],
  ])('that holds %s rows than it says', async (_, rows) => {
    const backup = await sealed([MANIFEST, { table: 'heartbeats', rows }])
    await expect(checkBackup(backup, () => {})).rejects.toBeInstanceOf(BrokenBackup)
  })
})
