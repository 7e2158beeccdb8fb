// Restoring into a file that another process opens meanwhile: none that has the old one may be left beside the new one.

import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@libsql/client'
import { createTestRandom } from '../testing/random.ts'
import { connect } from './database.ts'
import { migrate } from './migrate.ts'
import { restoreTarget, TargetInUse } from './restore-target.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-restore-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A database of this name that says `old` and whose last process has gone. */
function make(name: string) {
  const path = join(folder, name)
  // By a process of its own: a connection of this one would stay open.
  const comeAndGo = (text: string) => {
    const script = `new (require('bun:sqlite').Database)(process.argv[1]).exec(process.argv[2])`
    const whole = `PRAGMA journal_mode = WAL; ${text}`
    expect(Bun.spawnSync([process.execPath, '-e', script, path, whole]).exitCode).toBe(0)
  }
  comeAndGo(`CREATE TABLE what (text); INSERT INTO what VALUES ('old')`)
  const place = { url: `file:${path}` }
  return {
    /** A process that starts, writes, and ends. */
    comeAndGo,
    target: restoreTarget(place, createTestRandom()),
    again: () => restoreTarget(place, createTestRandom(1_001)),
    /** A process that starts and writes. */
    async come() {
      const client = connect(place)
      await client.execute('PRAGMA journal_mode = WAL')
      await client.execute("INSERT INTO what VALUES ('more')")
    },
    /** What a process that starts afterwards finds. */
    found: async () => (await connect(place).execute('SELECT text FROM what')).rows[0]?.[0],
  }
}

/** What is restored. */
const fill = (text: string) => async (client: Client) => {
  const statements = ['CREATE TABLE what (text)', `INSERT INTO what VALUES ('${text}')`]
  await client.batch(statements, 'write')
}

test('a database holds nothing that a restore could cost, until there is a user', async () => {
  const place = { url: `file:${join(folder, 'migrated.db')}` }
  const [client, rows] = [connect(place), () => restoreTarget(place, createTestRandom()).rows()]
  await migrate(client)
  await client.execute('INSERT INTO heartbeats VALUES (1, 1)')
  expect(await rows()).toEqual({})
  await client.execute(`INSERT INTO users (id, email, email_key, password_hash, created_at)
    VALUES ('usr_1', 'a', 'a', 'hash', 0)`)
  expect(await rows()).toEqual({ users: 1 })
})

test('a process that opens the database during a restore is noticed, and has the old data', async () => {
  const { target, come, found } = make('came.db')
  await expect(target.replace(come)).rejects.toThrow(TargetInUse)
  expect(await found()).toBe('old')
})

test('a process that has come and gone during a restore is no obstacle', async () => {
  const { target, comeAndGo, found } = make('went.db')
  await target.replace(async (client) => {
    await fill('new')(client)
    comeAndGo("INSERT INTO what VALUES ('more')")
  })
  expect(await found()).toBe('new')
})

test('a process that opens the database when the restored one is put in place waits for that', async () => {
  const { target, come, found } = make('comes.db')
  let coming: Promise<unknown> | undefined
  await target.replace(async (client) => {
    await fill('new')(client)
    // Runs when what follows waits for the first time: for the disk.
    setImmediate(() => (coming = come().catch(({ code }) => code)))
  })
  expect(await coming).toBe('SQLITE_BUSY')
  await come()
  expect(await found()).toBe('new')
})

test('whoever makes a database where there was none keeps it', async () => {
  const place = { url: `file:${join(folder, 'none.db')}` }
  const came = restoreTarget(place, createTestRandom()).replace(async (client) => {
    await fill('new')(client)
    setImmediate(() => void fill('other')(connect(place)))
  })
  await expect(came).rejects.toThrow(TargetInUse)
  expect((await connect(place).execute('SELECT text FROM what')).rows[0]?.[0]).toBe('other')
})

test('of two restores at once the one that ends last changes nothing', async () => {
  const { target, again, come, found } = make('twice.db')
  const slow = target.replace(async (client) => {
    await again().replace(fill('first'))
    await come()
    await fill('last')(client)
  })
  await expect(slow).rejects.toThrow(TargetInUse)
  expect(await found()).toBe('first')
})

test('of two restores that end at the same time the one that waited for the other changes nothing', async () => {
  const { target, found } = make('together.db')
  // Another one at its end: it holds the old file, and puts its own there while we wait for that.
  const script = `
    const { Database } = require('bun:sqlite')
    const [path, made] = process.argv.slice(1)
    const [held, own] = [path, made].map((name) => new Database(name))
    held.exec('BEGIN IMMEDIATE')
    own.exec("CREATE TABLE what (text); INSERT INTO what VALUES ('first')")
    console.log('held')
    const end = () => {
      require('node:fs').renameSync(made, path)
      held.close()
      own.close()
      process.exit()
    }
    // Not at once: SQLite waits for it meanwhile, for up to fifty milliseconds.
    process.stdin.once('data', () => setTimeout(end, 20))`
  const paths = ['together.db', 'made.db'].map((name) => join(folder, name))
  let ended: Promise<number> | undefined
  const slow = target.replace(async (client) => {
    await fill('last')(client)
    const other = Bun.spawn([process.execPath, '-e', script, ...paths], { stdin: 'pipe' })
    ended = other.exited
    await other.stdout.getReader().read()
    other.stdin.write('end')
    await other.stdin.flush()
  })
  await expect(slow).rejects.toThrow(TargetInUse)
  expect(await ended).toBe(0)
  expect(await found()).toBe('first')
})
