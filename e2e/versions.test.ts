// Two versions on one database: the newer one brings a migration, the older one goes on. The newer is a copy of this one with
// one more column, as every migration of ours expands.

import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { migrate } from '../src/storage/migrate.ts'
import { canRunSqld, startSqld } from './database.ts'
import { createLedger, keepSigningUp, loginOutcome } from './ledger.ts'
import { operate } from './program.ts'
import { startServer, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(120_000)

const ROOT = join(import.meta.dir, '..')
const NEXT = '9999_next'
const hasSqld = canRunSqld()
const folder = mkdtempSync(join(tmpdir(), 'munjigi-versions-'))
const next = join(folder, 'next')
// No name that a column of this version may have.
beforeAll(() => makeVersion(next, 'ALTER TABLE users ADD COLUMN of_next text'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

function newDatabase(): { path: string; url: string } {
  files += 1
  const path = join(folder, `${files}.db`)
  return { path, url: `file:${path}` }
}

/** A copy of this version with one more migration. */
function makeVersion(root: string, migration: string): void {
  for (const name of ['src', 'package.json', 'tsconfig.json'])
    cpSync(join(ROOT, name), join(root, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  const migrations = join(root, 'src', 'storage', 'migrations')
  const file = join(migrations, 'meta', '_journal.json')
  const journal = JSON.parse(readFileSync(file, 'utf8'))
  const last = journal.entries.at(-1)
  journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag: NEXT })
  writeFileSync(file, JSON.stringify(journal))
  writeFileSync(join(migrations, `${NEXT}.sql`), migration)
}

function columnsOf(path: string): unknown[] {
  using database = new Database(path, { readonly: true })
  return database.query<{ name: string }, []>("SELECT name FROM pragma_table_info('users')").all()
}

test('N and N+1 serve side by side under load without one failure, and N starts on what N+1 has migrated', async () => {
  const { path, url } = newDatabase()
  await using servers = new AsyncDisposableStack()
  const clients = 2
  // As many as there are clients, so that nobody waits in line: on a slow machine that would be in vain.
  const env = { ...UNTHROTTLED, MUNJIGI_PASSWORD_HASH_CONCURRENCY: String(clients) }
  const start = async (more: { root?: string } = {}) =>
    servers.use(await startServer({ mode: 'serve', database: url, env, ...more }))
  const old = await start()
  const ledger = createLedger('both')
  const urls = [old.url]
  let turn = 0
  const load = keepSigningUp(ledger, clients, () => {
    turn += 1
    return urls[turn % urls.length] ?? old.url
  })
  await until('some have signed up', () => ledger.acknowledged.length >= 5)
  const four = await Promise.all(Array.from({ length: 4 }, () => start({ root: next })))
  expect(columnsOf(path)).toContainEqual({ name: 'of_next' })
  urls.push(...four.map((server) => server.url))
  const enough = ledger.acknowledged.length + 15
  await until('all have served', () => ledger.acknowledged.length >= enough)
  await load.stop()
  expect([...ledger.refusals]).toEqual([])
  const again = await start()
  const newest = ledger.acknowledged.slice(-5)
  for (const server of [old, again, ...four])
    for (const email of newest) expect(await loginOutcome(server.url, email)).toBe('LoggedIn')
})

test('after going back, a backup is refused for what its database is, not for the version that made it', async () => {
  const { path, url } = newDatabase()
  const newer = await startServer({ mode: 'serve', database: url, root: next })
  await newer.stop()
  const made = await operate(url, 'backup', `${path}.backup`)
  const read = await operate(url, 'restore', '--dry-run', `${path}.backup`)
  expect([made.exitCode, read.exitCode]).toEqual([0, 65])
  expect(read.stderr).toContain('had been migrated by a newer Munjigi: restore it with that one')
})

test('a migration that fails keeps the new version from starting, and the old one goes on', async () => {
  const broken = join(folder, 'broken')
  makeVersion(
    broken,
    'ALTER TABLE users ADD COLUMN of_next text;--> statement-breakpoint\nALTER TABLE nowhere ADD COLUMN more text',
  )
  const { path, url } = newDatabase()
  await using old = await startServer({ mode: 'serve', database: url })
  await createLedger('old').signUp(old.url)
  const before = columnsOf(path)
  const started = startServer({ mode: 'serve', database: url, root: broken })
  await expect(started).rejects.toThrow(/ended \(69\)[\s\S]*in migration 9999_next/)
  expect(columnsOf(path)).toEqual(before)
  expect(await loginOutcome(old.url, 'old-1@example.com')).toBe('LoggedIn')
})

test.skipIf(!hasSqld)(
  'of a migration that fails a server has heard when the program ends: no lock is left that keeps others from writing',
  async () => {
    const broken = join(folder, 'broken-on-server')
    makeVersion(broken, 'ALTER TABLE nowhere ADD COLUMN more text')
    await using sqld = await startSqld()
    let unanswered = 0
    const counted = async (request: Request) => {
      unanswered += 1
      return await fetch(request).finally(() => {
        unanswered -= 1
      })
    }
    const client = createClient({ url: sqld.url, fetch: counted })
    const migrated = migrate(client, { folder: join(broken, 'src', 'storage', 'migrations') })
    // Asked in the moment in which it is known: the program ends then.
    const outcome = await migrated.catch(({ message }) => [message, unanswered])
    expect(outcome).toEqual([expect.stringMatching(/ in migration 9999_next$/), 0])
    client.close()
  },
)

describe('munjigi migrate', () => {
  test('--check says what would run, changes nothing, and its exit code tells', async () => {
    const { path, url } = newDatabase()
    const { exitCode, stdout } = await operate(url, 'migrate', '--check')
    expect([exitCode, stdout]).toEqual([1, expect.stringContaining('would apply 0000_initial')])
    expect(existsSync(path)).toBe(false)
  })

  test.skipIf(!hasSqld)(
    'waits for a server that is busy for longer than a request may',
    async () => {
      await using sqld = await startSqld()
      const client = createClient({ url: sqld.url })
      const other = await client.transaction('write')
      // Not begun before.
      await other.execute('CREATE TABLE others (id)')
      const migrated = operate(sqld.url, 'migrate', '--json')
      await Bun.sleep(3_000)
      other.close()
      expect(await migrated).toMatchObject({ exitCode: 0, stderr: '' })
      client.close()
    },
  )

  test('applies it once', async () => {
    const { url } = newDatabase()
    const outputs = [
      await operate(url, 'migrate', '--json'),
      await operate(url, 'migrate', '--json'),
      await operate(url, 'migrate', '--check', '--json'),
    ]
    expect(outputs.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    const [first, second, check] = outputs.map(({ stdout }) => JSON.parse(stdout))
    expect(first.applied).toContain('0000_initial')
    expect([second, check]).toEqual([{ applied: [] }, { missing: [] }])
  })
})
