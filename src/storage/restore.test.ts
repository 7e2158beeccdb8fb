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
import { readSnapshot } from './snapshot.ts'

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
  const moment = { version: '0.1.0', createdAt: new Date(0) }
  const records = await Array.fromAsync(readSnapshot(from, moment))
  await fill(to, await sealed(records), () => {})
  const users = 'SELECT * FROM users ORDER BY rowid'
  expect((await to.execute(users)).rows).toEqual((await from.execute(users)).rows)
  // No lock is left behind.
  await from.execute('DELETE FROM users')
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

test('what operators and their tools have put into a database is left out, and named', async () => {
  const [from, to] = [newClient(), newClient()]
  await migrate(from)
  await from.executeMultiple(`CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
    INSERT INTO _litestream_seq VALUES (1, 1);
    ALTER TABLE users ADD COLUMN note TEXT DEFAULT 'of an operator';
    INSERT INTO users (id, email, email_key, password_hash, created_at) VALUES ('usr_1', 'a', 'b', 'hash', 2)`)
  const moment = { version: '0.1.0', createdAt: new Date(0) }
  const backup = await sealed(await Array.fromAsync(readSnapshot(from, moment)))
  await fill(to, backup, () => {})
  const { rows } = await to.execute('SELECT * FROM users')
  expect(rows.map((row) => ({ ...row }))).toMatchObject([
    { id: 'usr_1', email: 'a', email_key: 'b', password_hash: 'hash', created_at: 2 },
  ])
  expect(await strangersIn(backup.manifest)).toEqual(['_litestream_seq', 'users.note'])
})

test('what older backups hold, and is never restored, is no stranger', async () => {
  expect(await strangersIn(MANIFEST)).toEqual([])
})

test('migrations newer than the backup are applied after its rows', async () => {
  const client = newClient()
  const older = { ...MANIFEST, schema: newestMigration() - 1, tables: [] }
  await fill(client, await sealed([older]), () => {})
  expect(await missingMigrations(client)).toEqual([])
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
