// The migrator: once, whole or not at all, whoever starts at the same time. And that what is asked often finds an index.
// e2e/migrations.test.ts has the tool that generates the SQL say that nothing is missing.

import { afterAll, describe, expect, test } from 'bun:test'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InStatement } from '@libsql/client'
import { createClient } from '@libsql/client'
import type { SQL } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/libsql'
import { selectKeys } from '../keys/store.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import { toSessionId } from '../sessions/session.ts'
import {
  ending,
  ofUser,
  ofUserBeyond,
  ofUserWithId,
  opening,
  rotating,
  selectEnded,
  selectSession,
  selectSessions,
  sweep,
  withId,
} from '../sessions/store.ts'
import type { EmailKey } from '../users/email.ts'
import { insertingUser, selectUsers, userOfEmail, userOfId } from '../users/store.ts'
import { toUserId } from '../users/user.ts'
import type { Db } from './database.ts'
import { migrate } from './migrate.ts'
import type { Statement } from './statement.ts'

const MIGRATIONS = new URL('./migrations/', import.meta.url).pathname
const SHIPPED = readdirSync(MIGRATIONS).filter((file) => file.endsWith('.sql')).length

const folder = mkdtempSync(join(tmpdir(), 'munjigi-migrate-'))
afterAll(() => rmSync(folder, { recursive: true }))
let names = 0

function newPath(): string {
  names += 1
  return join(folder, String(names))
}

const newClient = (url = `file:${newPath()}.db`) => createClient({ url })
type Client = ReturnType<typeof newClient>

/** The SQL that made each table and index, by name. */
async function schemaOf(client: Client): Promise<Record<string, unknown>> {
  const { rows } = await client.execute('SELECT name, sql FROM sqlite_schema')
  return Object.fromEntries(rows.map((row) => [row['name'], row['sql']]))
}

async function journalOf(client: Client): Promise<number> {
  const { rows } = await client.execute('SELECT count(*) AS rows FROM __drizzle_migrations')
  return Number(rows[0]?.['rows'])
}

/** A folder of migrations: what is shipped, and then these texts. */
function withMigrations(...texts: readonly string[]): string {
  const path = newPath()
  cpSync(MIGRATIONS, path, { recursive: true })
  const file = join(path, 'meta', '_journal.json')
  const journal = JSON.parse(readFileSync(file, 'utf8'))
  const entries = texts.map((_, i) => ({
    ...journal.entries.at(-1),
    idx: SHIPPED + i,
    when: 4_000_000_000_000 + i,
    tag: `later_${i}`,
  }))
  const whole = { ...journal, entries: [...journal.entries, ...entries] }
  writeFileSync(file, JSON.stringify(whole))
  texts.forEach((text, i) => {
    writeFileSync(join(path, `later_${i}.sql`), text)
  })
  return path
}

describe('migrating', () => {
  test('an empty database applies everything, and again applies nothing', async () => {
    const client = newClient()
    expect(await migrate(client)).toBe(SHIPPED)
    const schema = await schemaOf(client)
    expect(Object.keys(schema)).toContain('users')
    expect(await migrate(client)).toBe(0)
    expect(await schemaOf(client)).toEqual(schema)
    expect(await journalOf(client)).toBe(SHIPPED)
  })

  test('an older database applies what is missing, and keeps its rows', async () => {
    const client = newClient()
    await migrate(client)
    await client.execute('INSERT INTO heartbeats VALUES (1, 1)')
    const later = withMigrations('ALTER TABLE heartbeats ADD COLUMN more text')
    expect(await migrate(client, { folder: later })).toBe(1)
    const { columns, rows } = await client.execute('SELECT * FROM heartbeats')
    expect([columns, ...rows.map((row) => Array.from(row))]).toEqual([
      ['id', 'at', 'more'],
      [1, 1, null],
    ])
  })

  test('a newer database is left alone', async () => {
    const client = newClient()
    await migrate(client, { folder: withMigrations('CREATE TABLE later (id integer)') })
    const schema = await schemaOf(client)
    expect(await migrate(client)).toBe(0)
    expect(await schemaOf(client)).toEqual(schema)
  })

  test('a database that is the newest takes no lock: one that is held does not hold up a start', async () => {
    const url = `file:${newPath()}.db`
    const [client, other] = [newClient(url), newClient(url)]
    await migrate(client)
    const held = await other.transaction('write')
    expect(await migrate(client)).toBe(0)
    held.close()
  })

  const good = 'CREATE TABLE later (id integer)'
  test.each([
    [
      'in its second statement',
      'later_0',
      [`${good};--> statement-breakpoint\nALTER TABLE nowhere ADD COLUMN more text`],
    ],
    ['after one that succeeded', 'later_1', [good, 'CREATE TABLE users (id text)']],
    [
      'in the middle of changing rows',
      'later_0',
      [`DELETE FROM heartbeats;--> statement-breakpoint\nOOPS`],
    ],
  ])('that fails %s leaves schema and rows as they were, and is named', async (_, name, texts) => {
    const client = newClient()
    await migrate(client)
    await client.execute('INSERT INTO heartbeats VALUES (1, 1)')
    const schema = await schemaOf(client)
    const refused = await migrate(client, { folder: withMigrations(...texts) }).then(
      () => 'applied',
      ({ message }) => message,
    )
    expect(refused).toMatch(new RegExp(`^other \\(SQLITE_[A-Z]+\\) in migration ${name}$`))
    expect(await schemaOf(client)).toEqual(schema)
    expect(await journalOf(client)).toBe(SHIPPED)
    expect((await client.execute('SELECT * FROM heartbeats')).rows).toHaveLength(1)
    // No lock is left behind either.
    expect(await migrate(client, { folder: withMigrations(good) })).toBe(1)
  })
})

describe('a migration that is shipped', () => {
  /** The tests have no rows from before: they would take a column that no database in use can take. */
  const ADDS =
    /^(CREATE (TABLE|INDEX|UNIQUE INDEX) |ALTER TABLE \S+ ADD (?!.*\bNOT NULL\b(?!.*\bDEFAULT\b)))/

  test.each(readdirSync(MIGRATIONS).filter((file) => file.endsWith('.sql')))(
    '%s only adds: replicas of the version before go on beside it',
    (file) => {
      const statements = readFileSync(join(MIGRATIONS, file), 'utf8').split(
        '--> statement-breakpoint',
      )
      expect(statements.map((text) => text.trim()).filter((text) => !ADDS.test(text))).toEqual([])
    },
  )

  test.each([
    'ALTER TABLE `users` DROP COLUMN `disabled_at`;',
    'ALTER TABLE `users` ALTER COLUMN "created_at" TO "created_at" integer;',
    'ALTER TABLE `users` ADD `nickname` text NOT NULL;',
    'DROP INDEX "sessions_expires_at";',
  ])('would be noticed if it were %s', (text) => {
    expect(ADDS.test(text)).toBe(false)
  })
})

describe('four processes that open an empty database at once', () => {
  const modules = ['storage/database', 'platform/clock', 'platform/random', 'testing/log']
    .concat('observability/metrics')
    .map((name) => new URL(`../${name}.ts`, import.meta.url).href)
  /** Waits for a line, so that all begin together, and answers when it has opened the database. */
  const program = `
    const modules = await Promise.all(${JSON.stringify(modules)}.map((name) => import(name)))
    const { openDatabase, systemClock, systemRandom, createTestLog, createMetrics } = Object.assign({}, ...modules)
    const metrics = createMetrics('')
    console.log('ready')
    for await (const url of console) {
      const options = { url, clock: systemClock, random: systemRandom, log: createTestLog().log, metrics }
      const database = await openDatabase(options)
      await database.close()
      console.log('opened')
    }`

  test('all get it, and each migration is applied once', async () => {
    const processes = Array.from({ length: 4 }, () => startProgram(program))
    for (const { says } of processes) await says('ready')
    // Which one is first is chance; so is how closely they follow each other.
    for (let round = 0; round < 15; round += 1) {
      const url = `file:${newPath()}.db`
      for (const { tell } of processes) tell(url)
      for (const { says } of processes) await says('opened')
      expect(await journalOf(newClient(url))).toBe(SHIPPED)
    }
    for (const { child } of processes) child.kill()
  }, 60_000)
})

function startProgram(program: string) {
  const child = Bun.spawn([process.execPath, '--no-env-file', '-e', program], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const complaints = new Response(child.stderr).text()
  const lines = linesOf(child.stdout)
  return {
    child,
    tell(line: string) {
      child.stdin.write(`${line}\n`)
      child.stdin.flush()
    },
    async says(expected: string) {
      const { value } = await lines.next()
      if (value !== expected) throw new Error(`${value ?? 'nothing'}\n${await complaints}`)
    },
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

describe('what is asked often finds an index', () => {
  const user = {
    id: toUserId('usr_1'),
    email: '',
    emailKey: '' as EmailKey,
    passwordHash: '' as PasswordHash,
    createdAt: 0,
    disabledAt: null,
  }
  const rotation = {
    id: toSessionId('ses_1'),
    generation: 0,
    secretHash: '',
    nextSecretHash: '',
    now: 0,
    idleExpiresAt: 0,
  }
  const BY_ID = /SEARCH sessions USING (?:COVERING )?INDEX sqlite_autoindex_sessions_1 \(id=\?\)/
  const BY_USER =
    /SEARCH sessions USING (?:COVERING )?INDEX sessions_user_id_created_at \(user_id=\?\)/
  const session = {
    ...{ id: toSessionId('ses_1'), userId: user.id, generation: 0, secretHash: '', createdAt: 0 },
    ...{ lastUsedAt: 0, expiresAt: 0, endsAt: 0, clientAddress: '', client: '' },
  }
  const end = (which: SQL) => ending({ which, reason: 'ended', now: 0 })

  test.each<[string, RegExp, Planned]>([
    ['a session, with its user', BY_ID, (db) => selectSession(db, toSessionId('ses_1'), 0)],
    ['a new session', BY_USER, opening(session, user.passwordHash)],
    ["the end of a user's oldest sessions", BY_USER, end(ofUserBeyond(session, 100))],
    ['the end of a session', BY_ID, end(withId(toSessionId('ses_1')))],
    [
      "the end of a user's session",
      BY_ID,
      end(ofUserWithId(toUserId('usr_1'), toSessionId('ses_1'))),
    ],
    ["the end of all of a user's sessions", BY_USER, end(ofUser(toUserId('usr_1')))],
    [
      'sweeping',
      /sessions_expires_at \(expires_at<\?\)[\s\S]*ended_sessions_ended_at \(ended_at<\?\)/,
      (db) => sweep(db, { expiredBefore: 0, endedBefore: 0, rows: 500 }),
    ],
    [
      'a page of users',
      /SEARCH users USING INDEX sqlite_autoindex_users_1 \(id>\?\)/,
      (db) => selectUsers(db, { after: '', limit: 100 }),
    ],
    [
      'the user of an e-mail',
      /SEARCH users USING INDEX users_email_key_unique \(email_key=\?\)/,
      userOfEmail('kim@example.com' as EmailKey),
    ],
    [
      'the user of a token',
      /SEARCH users USING INDEX sqlite_autoindex_users_1 \(id=\?\)/,
      userOfId(toUserId('usr_1')),
    ],
    ['a new user', /^$/, insertingUser(user)],
    [
      'a refresh',
      /SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 \(id=\?\)/,
      rotating(rotation),
    ],
    [
      "a user's sessions",
      /SEARCH sessions USING INDEX sessions_user_id_created_at \(user_id=\?\)/,
      (db) => selectSessions(db, toUserId('usr_1'), 0),
    ],
    [
      'what ended since the last look',
      /SEARCH ended_sessions USING INTEGER PRIMARY KEY \(rowid>\?\)/,
      (db) => selectEnded(db, { sequence: 0, since: 0, limit: 1 }),
    ],
  ])('%s', async (_, expected, statement) => {
    const plan = await planOf(statement)
    expect(plan).toMatch(expected)
    expect(plan).not.toMatch(/SCAN (?!CONSTANT ROW)|TEMP B-TREE/)
  })

  test('this test would notice if one did not', async () => {
    expect(await planOf(selectKeys)).toMatch(/SCAN signing_keys/)
  })
})

type Planned = Statement | readonly Statement[] | ((db: Db) => Promise<unknown>)

/** SQLite's query plan of statements, or of those that a function sends, those of a batch included. */
async function planOf(planned: Planned): Promise<string> {
  const client = newClient()
  await migrate(client)
  if (typeof planned !== 'function') {
    const plans = [planned].flat().map((statement) => explain(client, statement))
    return (await Promise.all(plans)).flat().join('\n')
  }
  const sent: InStatement[] = []
  const listening = new Proxy(client, {
    get(target, name) {
      if (name === 'batch')
        return (statements: InStatement[]) => {
          sent.push(...statements)
          return target.batch(statements, 'write')
        }
      if (name !== 'execute') return Reflect.get(target, name)
      return (one: InStatement) => {
        sent.push(one)
        return target.execute(one)
      }
    },
  })
  await planned(drizzle(listening))
  if (sent.length === 0) throw new Error('no statement was sent')
  const plans = await Promise.all(sent.map((one) => explain(client, one)))
  return plans.flat().join('\n')
}

async function explain(client: Client, statement: InStatement): Promise<string[]> {
  const { sql, args } = typeof statement === 'string' ? { sql: statement, args: [] } : statement
  const { rows } = await client.execute({ sql: `EXPLAIN QUERY PLAN ${sql}`, args: args ?? [] })
  return rows.map((row) => String(row['detail']))
}
