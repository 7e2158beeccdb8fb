// The runbook of docs/operations.md, its blocks word for word: a backup under load, everything lost, a restore, and who was
// acknowledged before the backup logs in. And what happens when it is interrupted, or the file is not what it was.

import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createClient } from '@libsql/client'
import { systemClock } from '../src/platform/clock.ts'
import { systemRandom } from '../src/platform/random.ts'
import { createSealer } from '../src/storage/archive.ts'
import { backUp } from '../src/storage/backup.ts'
import { users } from '../src/users/table.ts'
import { ask } from './ask.ts'
import { canRunSqld, openAlone, startSqld } from './database.ts'
import { createLedger, keepSigningUp, loginOutcome } from './ledger.ts'
import { outputOf } from './output.ts'
import { startProgram } from './program.ts'
import { requires } from './requirement.ts'
import { startServer, TEST_SECRET, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(120_000)

const REFRESH =
  'mutation ($refreshToken: String!) { refresh(refreshToken: $refreshToken) { accessToken } }'
const ROOT = join(import.meta.dir, '..')
const PAGE = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'munjigi-backup-'))
afterAll(() => rmSync(folder, { recursive: true }))
let names = 0

function newFolder(): string {
  names += 1
  return mkdtempSync(join(folder, `${names}-`))
}

const BLOCKS = [...(PAGE.split('## Backup and restore')[1] ?? '').matchAll(/```sh\n([\s\S]*?)```/g)]
const [BACKUP = '', RESTORE = ''] = BLOCKS.map(([, text = '']) => text)

/** Runs a block of the page in a shell of an operator; `$FILE` is what an earlier block has set. */
async function runBlock(block: string, env: Record<string, string>): Promise<string> {
  const munjigi = `munjigi() { '${process.execPath}' --no-env-file src/main.ts "$@"; }`
  const text = block.replaceAll('/var/backups/munjigi', env['BACKUPS'] ?? '')
  return await outputOf(['bash', '-euc', `${munjigi}\n${text}\necho "FILE=$FILE"`], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], MUNJIGI_SECRET: TEST_SECRET, ...env },
  })
}

/** A place for a database, and how all of it is lost. */
interface Place extends AsyncDisposable {
  readonly url: string
  wipe(): Promise<void>
  /** In SQLite's own words. */
  check(): Promise<unknown>
}

function onFile(): Place {
  const home = newFolder()
  const path = join(home, 'munjigi.db')
  return {
    url: `file:${path}`,
    async wipe() {
      for (const file of readdirSync(home)) rmSync(join(home, file))
    },
    async check() {
      using database = new Database(path, { readonly: true })
      return Object.values(database.query('PRAGMA integrity_check').get() as object)[0]
    },
    async [Symbol.asyncDispose]() {},
  }
}

async function onServer(): Promise<Place> {
  const sqld = await startSqld()
  return {
    url: sqld.url,
    async wipe() {
      await sqld.kill()
      rmSync(join(sqld.folder, 'data'), { recursive: true })
      await sqld.restart()
    },
    async check() {
      const client = createClient({ url: sqld.url })
      const { rows } = await client.execute('PRAGMA integrity_check')
      client.close()
      return rows[0]?.[0]
    },
    [Symbol.asyncDispose]: () => sqld[Symbol.asyncDispose](),
  }
}

const hasSqld = canRunSqld()

describe.each([
  ['a file', onFile, true],
  ['a libSQL server', onServer, hasSqld],
] as const)('the runbook, on %s', (_, makePlace, available) => {
  test.skipIf(!available)(
    'brings back all who were acknowledged before the backup, and no session',
    async () => {
      await using place = await makePlace()
      const server = await startServer({ mode: 'serve', database: place.url, env: UNTHROTTLED })
      const ledger = createLedger('before')
      const session = (await ledger.signUp(server.url))?.data.signup.tokens
      const load = keepSigningUp(ledger, 4, () => server.url)
      await until('twenty have signed up', () => ledger.acknowledged.length >= 20)
      const before = [...ledger.acknowledged]
      const backups = newFolder()
      const env = { MUNJIGI_DATABASE_URL: place.url, BACKUPS: backups }
      const output = await runBlock(BACKUP, { ...env, FILE: '' })
      expect(output).toContain('the backup is whole')
      const [, file = ''] = /^FILE=(.+)$/m.exec(output) ?? []
      const atBackup = ledger.acknowledged.length
      await until('more have signed up since', () => ledger.acknowledged.length > atBackup + 5)
      await load.stop()
      await server.stop()

      await place.wipe()
      await runBlock(RESTORE, { ...env, FILE: file })

      expect(await place.check()).toBe('ok')
      await using again = await startServer({
        mode: 'serve',
        database: place.url,
        env: UNTHROTTLED,
      })
      // One after the other: a busy machine would refuse some for the line before its hashes.
      for (const email of before) expect(await loginOutcome(again.url, email)).toBe('LoggedIn')
      const refreshed = await ask(again.url, REFRESH, {
        variables: { refreshToken: session.refreshToken },
      })
      expect(refreshed.code).toBe('INVALID_REFRESH_TOKEN')
      const me = await ask(again.url, '{ me { id } }', { token: session.accessToken })
      expect(me.code).toBe('UNAUTHENTICATED')
    },
  )
})

/** Enough rows that a command is still at it when somebody kills it. */
const MANY = 150_000

const settings = (url: string) => ({ MUNJIGI_DATABASE_URL: url, MUNJIGI_SECRET: TEST_SECRET })
const munjigi = (url: string, ...args: string[]) => startProgram(args, settings(url))

async function usersIn(url: string): Promise<unknown> {
  return JSON.parse((await munjigi(url, 'users', 'list', '--json').ended).stdout)
}

/** A database and a backup of it. */
interface Saved {
  readonly url: string
  readonly path: string
  readonly file: string
}

async function backedUp(path: string): Promise<Saved> {
  const url = `file:${path}`
  const file = join(newFolder(), 'a.backup')
  expect((await munjigi(url, 'backup', file).ended).exitCode).toBe(0)
  return { url, path, file }
}

let many: Promise<Saved> | undefined
/** A file with many users, none of whom has a password: nobody changes it. */
function manyUsers(): Promise<Saved> {
  many ??= makeMany().then(backedUp)
  return many
}

async function makeMany(): Promise<string> {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(`file:${path}`, 'migrate').ended
  using database = new Database(path)
  database.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MANY})
    INSERT INTO users (id, email, email_key, password_hash, created_at)
    SELECT 'usr_' || i, i || '@example.com', i || '@example.com', 'no hash', i FROM n`)
  return path
}

let small: Promise<Saved> | undefined
/** A backup of a database with one user, and that database, for whoever asks alone. */
async function smallBackup(): Promise<Saved> {
  small ??= makeSmall().then(backedUp)
  const made = await small
  const path = join(newFolder(), 'munjigi.db')
  copyFileSync(made.path, path)
  return { url: `file:${path}`, path, file: made.file }
}

async function makeSmall(): Promise<string> {
  const path = join(newFolder(), 'munjigi.db')
  const server = await startServer({ mode: 'serve', database: `file:${path}`, env: UNTHROTTLED })
  await createLedger('small').signUp(server.url)
  await server.stop()
  return path
}

async function killWhen(program: ReturnType<typeof munjigi>, begun: () => boolean): Promise<void> {
  await until('it is at work', begun)
  program.process.kill('SIGKILL')
  expect((await program.ended).exitCode).toBe(137)
}

describe('death in the middle', () => {
  test('of a backup leaves no file of its name, and what it leaves is refused', async () => {
    const { url } = await manyUsers()
    const home = newFolder()
    const file = join(home, 'dead.backup')
    const drafts = () => readdirSync(home).map((name) => join(home, name))
    await killWhen(munjigi(url, 'backup', file), () =>
      drafts().some((draft) => Bun.file(draft).size > 1_000_000),
    )
    expect(existsSync(file)).toBe(false)
    const [draft = ''] = drafts()
    const { exitCode, stderr } = await munjigi(url, 'restore', '--dry-run', draft).ended
    expect([exitCode, stderr]).toEqual([65, expect.stringContaining('its end is missing')])
  })

  test('of a restore leaves a file as it was', async () => {
    const { file } = await manyUsers()
    const old = await smallBackup()
    const home = join(old.path, '..')
    await killWhen(munjigi(old.url, 'restore', '--replace', file), () =>
      readdirSync(home).some((name) => name.includes('restoring')),
    )
    expect(await usersIn(old.url)).toMatchObject([{ email: 'small-1@example.com' }])
    const again = await munjigi(old.url, 'restore', '--replace', '--json', file).ended
    expect(again.exitCode).toBe(0)
    using database = new Database(old.path, { readonly: true })
    expect(database.query('SELECT count(*) AS users FROM users').get()).toEqual({ users: MANY })
  })

  test.skipIf(!hasSqld)(
    'of a restore leaves a server that no replica takes for whole',
    async () => {
      const { file } = await manyUsers()
      await using sqld = await startSqld()
      const restoring = munjigi(sqld.url, 'restore', file)
      const client = createClient({ url: sqld.url })
      const count = async () =>
        Number((await client.execute('SELECT count(*) AS n FROM users')).rows[0]?.['n'])
      await until('some are there', async () => (await count().catch(() => 0)) > 0)
      restoring.process.kill('SIGKILL')
      await restoring.ended
      expect(await count()).toBeLessThan(MANY)
      const serve = await startProgram(['serve'], {
        ...settings(sqld.url),
        MUNJIGI_ISSUER_URL: 'https://auth.example.com',
        MUNJIGI_PORT: '0',
        MUNJIGI_METRICS_PORT: '0',
      }).ended
      expect([serve.exitCode, serve.stderr]).toEqual([69, expect.stringContaining('did not end')])
      expect((await munjigi(sqld.url, 'restore', '--replace', file).ended).exitCode).toBe(0)
      expect(await count()).toBe(MANY)
      client.close()
      await using server = await startServer({
        mode: 'serve',
        database: sqld.url,
        env: UNTHROTTLED,
      })
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
    },
  )
})

describe('a checkpoint in the middle of a backup of a server', () => {
  test.skipIf(!hasSqld)(
    'makes the backup let go and begin again, so that no writer is refused',
    async () => {
      await using sqld = await startSqld({ checkpointSeconds: 2 })
      const database = await openAlone(sqld.url)
      const refused: unknown[] = []
      let beginnings = 0
      // It asks for the time only when a write of its own was refused: then, or since when.
      let [timesAsked, ahead] = [0, 0]
      const elapsed = () => {
        timesAsked += 1
        return systemClock.elapsed() + ahead
      }
      let finished = false
      /** As a replica writes: what is busy it tries again, for as long as a request may wait. */
      const writing = (async () => {
        for (let id = 0; !finished; id += 1) {
          const insert = {
            sql: 'INSERT INTO users (id, email, email_key, password_hash, created_at) VALUES (?, ?, ?, ?, ?)',
            args: [`usr_${id}`, `${id}@example.com`, `${id}@example.com`, 'no hash', id],
          }
          await database
            .write(({ $client }) => $client.execute(insert))
            .catch((error) => refused.push(error))
          await Bun.sleep(5)
        }
      })()
      await until('there are rows, and so something to checkpoint', async () => {
        return (await database.read((db) => db.$count(users))) > 50
      })
      let parts = 0
      const manifest = await backUp({
        place: { url: sqld.url },
        secret: TEST_SECRET,
        version: 'test',
        clock: { ...systemClock, elapsed },
        random: systemRandom,
        onProgress: () => {},
        file: {
          async rewind() {
            beginnings += 1
          },
          // The first time it is slow, until it is felt, and for longer than writers may be refused.
          async write() {
            parts += 1
            if (parts !== 2) return
            const before = timesAsked
            await until('a write was refused', () => timesAsked > before)
            ahead = 1_000
          },
        },
      })
      finished = true
      await writing
      await database.close()
      expect(refused).toEqual([])
      // Once more for each checkpoint that it meets: on a busy machine that can be another one.
      expect(beginnings).toBeGreaterThan(1)
      expect(manifest.tables.find(({ name }) => name === 'users')?.rows).toBeGreaterThan(50)
    },
  )
})

/** How many rows the tables of a database hold that no backup may bring back. */
function keysAndSessions(path: string): Record<string, number> {
  using database = new Database(path, { readonly: true })
  const count = (table: string) => database.query(`SELECT * FROM ${table}`).all().length
  return {
    keys: count('signing_keys'),
    sessions: count('sessions'),
    ended: count('ended_sessions'),
  }
}

test('a leaked signing key or session does not come back; a user disabled since does, and the restore says so and since when', async () => {
  const { url, path, file } = await smallBackup()
  expect(keysAndSessions(path)).toEqual({ keys: 1, sessions: 1, ended: 0 })
  expect((await munjigi(url, 'users', 'disable', 'small-1@example.com').ended).exitCode).toBe(0)
  const { stdout } = await munjigi(url, 'restore', '--replace', file).ended
  expect(keysAndSessions(path)).toEqual({ keys: 0, sessions: 0, ended: 0 })
  const shown = (await munjigi(url, 'users', 'show', '--json', 'small-1@example.com').ended).stdout
  expect(JSON.parse(shown).disabledAt).toBeNull()
  const [, createdAt = 'no time'] = /^of (\S+), by Munjigi/m.exec(stdout) ?? []
  const [, said = ''] = stdout.split('restored; ')
  for (const words of [createdAt, 'are back', 'users disable EMAIL']) expect(said).toContain(words)
  expect(Date.now() - Date.parse(createdAt)).toBeLessThan(86_400_000)
})

test('the keys and sessions that an older backup holds are not restored', async () => {
  const { path } = await smallBackup()
  const file = join(newFolder(), 'older.backup')
  await Bun.write(file, olderBackup(path))
  const restored = join(newFolder(), 'munjigi.db')
  expect((await munjigi(`file:${restored}`, 'restore', file).ended).exitCode).toBe(0)
  expect(keysAndSessions(restored)).toEqual({ keys: 0, sessions: 0, ended: 0 })
  expect(await usersIn(`file:${restored}`)).toHaveLength(1)
})

test('whoever has lost the secret keeps the users: a backup under a new one needs no signing key', async () => {
  const { url } = await smallBackup()
  const MUNJIGI_SECRET = 'another secret, of more than thirty-two bytes'
  const file = join(newFolder(), 'now.backup')
  for (const args of [
    ['backup', file],
    ['restore', '--replace', file],
  ])
    expect(await startProgram(args, { ...settings(url), MUNJIGI_SECRET }).ended).toMatchObject({
      exitCode: 0,
    })
  await using server = await startServer({ mode: 'serve', database: url, env: { MUNJIGI_SECRET } })
  expect(await loginOutcome(server.url, 'small-1@example.com')).toBe('LoggedIn')
})

test('a backup under a secret that opens no signing key says so: by the restore it would be too late', async () => {
  const { url } = await smallBackup()
  const [stale, key] = ['a stale secret, of more than thirty-two bytes', join(newFolder(), 'key')]
  writeFileSync(key, 'a key of its own, of more than thirty-two bytes')
  const warned = async (env: object, ...options: string[]) => {
    const args = ['backup', join(newFolder(), 'a.backup'), ...options]
    const { exitCode, stderr } = await startProgram(args, { ...settings(url), ...env }).ended
    return [exitCode, stderr.includes('no signing key in the database opens with this')]
  }
  expect(await warned({ MUNJIGI_SECRET: stale })).toEqual([0, true])
  expect(await warned({})).toEqual([0, false])
  expect(await warned({ MUNJIGI_SECRET: stale, MUNJIGI_SECRET_PREVIOUS: TEST_SECRET })).toEqual([
    0,
    false,
  ])
  expect(await warned({}, '--key-file', key)).toEqual([0, false])
  const { file } = await smallBackup()
  await munjigi(url, 'restore', '--replace', file).ended
  expect(await warned({ MUNJIGI_SECRET: stale })).toEqual([0, false])
})

test.skipIf(!hasSqld)('a backup of a file fills a server', async () => {
  const { file } = await smallBackup()
  await using sqld = await startSqld()
  expect((await munjigi(sqld.url, 'restore', file).ended).exitCode).toBe(0)
  await using server = await startServer({ mode: 'serve', database: sqld.url })
  expect(await loginOutcome(server.url, 'small-1@example.com')).toBe('LoggedIn')
})

/** A backup of a file as it was once made, all of its tables in it. */
function olderBackup(path: string): Uint8Array {
  using database = new Database(path, { readonly: true })
  const all = (sql: string) => database.query<Record<string, string | number>, []>(sql).all()
  const tables = ['users', 'sessions', 'ended_sessions', 'signing_keys'].map((name) => {
    const columns = all(`SELECT name FROM pragma_table_info('${name}')`).map((row) => row['name'])
    return { name, columns, rows: all(`SELECT * FROM ${name}`).map(Object.values) }
  })
  const [at] = all('SELECT max(created_at) AS schema FROM __drizzle_migrations')
  const { head, frame } = createSealer(TEST_SECRET, systemRandom)
  const moment = { format: 1, version: '0.1.0', createdAt: '2026-11-27T00:00:00.000Z', ...at }
  const counts = tables.map(({ rows, ...table }) => ({ ...table, rows: rows.length }))
  const total = counts.reduce((sum, { rows }) => sum + rows, 0)
  return Buffer.concat([
    head,
    frame({ ...moment, tables: counts }),
    ...tables.map(({ name, rows }) => frame({ table: name, rows })),
    frame({ rows: total }, 'last'),
  ])
}

describe('a restore to', () => {
  test.each(['100%.db', 'a#b.db', 'a?b.db', '%20.db'])(
    '%s puts the database there, and nothing beside it',
    async (name) => {
      const { file } = await smallBackup()
      const home = newFolder()
      const url = `file:${join(home, encodeURIComponent(name))}`
      expect((await munjigi(url, 'restore', file).ended).exitCode).toBe(0)
      expect(readdirSync(home)).toEqual([name])
      expect(await usersIn(url)).toHaveLength(1)
    },
  )

  test.each(['is there', 'is not there yet'])(
    'a link replaces what it points to, which %s',
    async (what) => {
      const { path: old, file } = await smallBackup()
      const [home, away] = [newFolder(), newFolder()]
      const [link, path] = [join(home, 'munjigi.db'), join(away, 'real.db')]
      symlinkSync(relative(home, path), link)
      if (what === 'is there') copyFileSync(old, path)
      expect((await munjigi(`file:${link}`, 'restore', '--replace', file).ended).exitCode).toBe(0)
      expect(lstatSync(link).isSymbolicLink()).toBe(true)
      expect([readdirSync(home), readdirSync(away)]).toEqual([['munjigi.db'], ['real.db']])
      expect(await usersIn(`file:${path}`)).toHaveLength(1)
    },
  )

  test('a place whose database was closed and moved away is no problem: the files it left are empty', async () => {
    const { url, path, file } = await smallBackup()
    renameSync(path, `${path}.old`)
    writeFileSync(`${path}-wal`, '')
    expect((await munjigi(url, 'restore', file).ended).exitCode).toBe(0)
    expect(await usersIn(url)).toHaveLength(1)
  })

  test('a link that leads to itself is refused', async () => {
    const { file } = await smallBackup()
    const link = join(newFolder(), 'munjigi.db')
    symlinkSync(link, link)
    const { exitCode, stderr } = await munjigi(`file:${link}`, 'restore', file).ended
    expect([exitCode, stderr]).toEqual([69, expect.stringContaining('ELOOP')])
  })
})

const isRoot = process.getuid?.() === 0

test.skipIf(!requires('root, who restores for others', isRoot)).each(['a file', 'a folder'])(
  'what root restores belongs to the owner of %s there',
  async (what) => {
    const { path: old, file } = await smallBackup()
    const home = newFolder()
    const path = join(home, 'munjigi.db')
    if (what === 'a file') copyFileSync(old, path)
    chownSync(what === 'a file' ? path : home, 1_234, 1_235)
    expect((await munjigi(`file:${path}`, 'restore', '--replace', file).ended).exitCode).toBe(0)
    const { uid, gid, mode } = statSync(path)
    expect([uid, gid, mode & 0o777]).toEqual([1_234, 1_235, 0o600])
  },
)

describe('a restore refuses', () => {
  test.each([
    ['what was cut short', (path: string) => truncateSync(path, Bun.file(path).size - 1)],
    ['what was cut between two parts', (path: string) => truncateSync(path, lastPart(path))],
    ['what was changed', (path: string) => flip(path, 200)],
    ['what is no backup', (path: string) => writeFileSync(path, 'SQLite format 3')],
  ])('%s, and changes nothing', async (_, damage) => {
    const { url, file } = await smallBackup()
    const damaged = join(newFolder(), 'damaged.backup')
    copyFileSync(file, damaged)
    damage(damaged)
    const { exitCode } = await munjigi(url, 'restore', '--replace', damaged).ended
    expect(exitCode).toBe(65)
    expect(await usersIn(url)).toHaveLength(1)
  })

  test('another key', async () => {
    const { url, file } = await smallBackup()
    const key = join(newFolder(), 'key')
    writeFileSync(key, 'another key, of more than thirty-two bytes')
    const { exitCode, stdout, stderr } = await munjigi(
      url,
      'restore',
      '--replace',
      '--key-file',
      key,
      file,
    ).ended
    expect(exitCode).toBe(65)
    expect(stdout + stderr).not.toContain('another key, of')
  })

  test('a database that is not empty, unless it is told to replace it', async () => {
    const { url, file } = await smallBackup()
    const { exitCode, stderr } = await munjigi(url, 'restore', file).ended
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('1 users')])
    expect((await munjigi(url, 'restore', '--replace', file).ended).exitCode).toBe(0)
  })

  describe.each([
    ['a file', onFile, true],
    ['a libSQL server', onServer, hasSqld],
  ] as const)('%s', (_, makePlace, available) => {
    test.skipIf(!available)('on which a replica works', async () => {
      const { file } = await smallBackup()
      await using place = await makePlace()
      const { url } = place
      await using server = await startServer({ mode: 'serve', database: url, env: UNTHROTTLED })
      const ledger = createLedger('working')
      await ledger.signUp(server.url)
      const { exitCode, stderr } = await munjigi(url, 'restore', '--replace', file).ended
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining('stop all replicas')])
      for (const email of ledger.acknowledged)
        expect(await loginOutcome(server.url, email)).toBe('LoggedIn')
      expect(ledger.acknowledged).toHaveLength(1)
    })
  })

  test.skipIf(!hasSqld)(
    'a server on which a replica works, also one whose clock was ahead at its start',
    async () => {
      const { file } = await smallBackup()
      await using sqld = await startSqld()
      await using _ = await startServer({ mode: 'serve', database: sqld.url })
      const client = createClient({ url: sqld.url })
      await client.execute(`INSERT INTO heartbeats VALUES (3, ${Number.MAX_SAFE_INTEGER})`)
      client.close()
      const { exitCode, stderr } = await munjigi(sqld.url, 'restore', '--replace', file).ended
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining('stop all replicas')])
    },
  )

  test.each(['-wal', '-journal'])(
    'a place where the %s of another database was left',
    async (suffix) => {
      const { file } = await smallBackup()
      const path = join(newFolder(), 'munjigi.db')
      writeFileSync(`${path}${suffix}`, 'what was written last')
      for (const option of ['--dry-run', '--replace']) {
        const { exitCode, stderr } = await munjigi(`file:${path}`, 'restore', option, file).ended
        expect([exitCode, stderr]).toEqual([
          1,
          expect.stringContaining(`${path}${suffix} belongs to`),
        ])
      }
      expect(readFileSync(`${path}${suffix}`, 'utf8')).toBe('what was written last')
      expect(existsSync(path)).toBe(false)
    },
  )

  test.each([
    ['is no database', (path: string) => writeFileSync(path, 'SQLite format 4\0'.padEnd(8_192))],
    ['is damaged', (path: string) => flip(path, 100)],
  ])('a file that %s, with what to do about it', async (_, damage) => {
    const { url, path, file } = await smallBackup()
    damage(path)
    const left = readFileSync(path)
    const { exitCode, stderr } = await munjigi(url, 'restore', '--replace', file).ended
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/damaged .*move its file/)])
    expect(readFileSync(path)).toEqual(left)
  })

  test('to make anything in a dry run', async () => {
    const { file } = await smallBackup()
    const path = join(newFolder(), 'munjigi.db')
    expect((await munjigi(`file:${path}`, 'restore', '--dry-run', file).ended).exitCode).toBe(0)
    expect(existsSync(path)).toBe(false)
  })
})

/** Where the last part of a backup begins: each says how long it is. */
function lastPart(path: string): number {
  const bytes = readFileSync(path)
  let [at, begin] = [33, 33]
  while (at < bytes.length) {
    begin = at
    at += 4 + bytes.readUInt32BE(at)
  }
  return begin
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(path, bytes)
}
