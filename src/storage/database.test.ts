// The database under load and in trouble: connections, the one writer, locks held by others, and what a failure may tell.
// Other connections stand for other processes here, for SQLite's locks are the same; e2e/processes.test.ts has real ones.

import { afterAll, describe, expect, test } from 'bun:test'
import { copyFileSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { eq, sql } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { AuthError } from '../errors.ts'
import { createMetrics } from '../observability/metrics.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import type { Clock } from '../platform/clock.ts'
import { systemClock } from '../platform/clock.ts'
import { createTestClock } from '../testing/clock.ts'
import { createTestLog } from '../testing/log.ts'
import { createTestRandom } from '../testing/random.ts'
import type { EmailKey } from '../users/email.ts'
import { users } from '../users/table.ts'
import { toUserId } from '../users/user.ts'
import type { Database, Db } from './database.ts'
import { fileOf, openDatabase } from './database.ts'
import { StorageFault, toFault } from './faults.ts'
import type { Statement } from './statement.ts'
import { heartbeats } from './table.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-database-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

/** How many connections the driver opens to one file. */
const POOL = 20
/** In capitals, as the codes of drivers are: whoever takes a word of a message for a code would let it through. */
const SENTINEL = 'SENTINEL_4711'

/** A table with a constraint that none of ours has. */
const children = sqliteTable('children', {
  parent: text('parent').references(() => users.id),
  size: integer('size').notNull(),
})

function newUrl(): string {
  files += 1
  return `file:${join(folder, `${files}.db`)}`
}

/** Its clock stands still unless a test moves it: however long a busy machine takes, no deadline passes meanwhile. */
async function open({
  clock = createTestClock(),
  memory = false,
  url = memory ? ':memory:' : newUrl(),
}: {
  clock?: Clock
  memory?: boolean
  url?: string
}) {
  const { log, lines } = createTestLog()
  const metrics = createMetrics('')
  const options = { url, clock, random: createTestRandom(), log, metrics }
  const database = await openDatabase(options)
  return { database, url, lines, metrics }
}

const beat = (db: Db, id: number) => db.insert(heartbeats).values({ id, at: 0 })
const user = (text: string) => ({
  id: toUserId(`usr_${text}`),
  email: text,
  emailKey: text as EmailKey,
  passwordHash: SENTINEL as PasswordHash,
  createdAt: 0,
})

/** Takes the lock that a writer needs, as another process would. */
async function lock(url: string) {
  const client = createClient({ url })
  const transaction = await client.transaction('write')
  return {
    [Symbol.dispose]() {
      transaction.close()
      client.close()
    },
  }
}

/** A write that has begun, and keeps all others in line until it is told to end. */
async function busyWriter(database: Database) {
  const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const write = database.write(() => {
    begun.resolve()
    return over.promise
  })
  await begun.promise
  return {
    end() {
      over.resolve()
      return write
    },
  }
}

/** Counts up to `enough`, and tells when it is there. */
function counter(enough = Number.POSITIVE_INFINITY) {
  const { promise, resolve } = Promise.withResolvers<void>()
  let count = 0
  return {
    reached: promise,
    count: () => count,
    add() {
      count += 1
      if (count >= enough) resolve()
    },
  }
}

const DONE = 'nothing was thrown'

/** What was thrown. */
async function failure(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => DONE,
    (error: unknown) => error,
  )
}

/** All text that an error carries, hidden properties and causes too. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error) ?? String(error)
  const own = Object.getOwnPropertyNames(error).map((name) => textOf(Reflect.get(error, name)))
  return [String(error), ...own].join('\n')
}

describe('every connection to a file', () => {
  test('writes ahead, syncs fully, waits a moment for a lock, and enforces foreign keys', async () => {
    const { database } = await open({})
    const inFlight = <T>(count: number, query: (db: Db) => Promise<T>) =>
      Promise.all(Array.from({ length: count }, () => database.read(query)))
    // A temporary table belongs to one connection: that none of these finds one of its name shows that each has its own.
    await inFlight(POOL, (db) => db.run(sql`CREATE TEMP TABLE mark (id)`))

    const settings = await inFlight(5 * POOL, (db) =>
      db.get(sql`
        SELECT journal_mode, synchronous, timeout, foreign_keys,
          (SELECT count(*) FROM temp.sqlite_schema) AS marks
        FROM pragma_journal_mode, pragma_synchronous, pragma_busy_timeout, pragma_foreign_keys`),
    )

    const wanted = { journal_mode: 'wal', synchronous: 2, timeout: 50, foreign_keys: 1, marks: 1 }
    expect(settings).toEqual(Array.from({ length: 5 * POOL }, () => wanted))
    await database.close()
  })

  test('leaves the file whole when it is closed, and nothing written ahead beside it', async () => {
    const { database, url } = await open({})
    await database.write((db) => db.insert(users).values(user('kim@example.com')))
    await database.close()
    expect(statSync(`${fileOf(url)}-wal`).size).toBe(0)

    const copy = newUrl()
    copyFileSync(fileOf(url), fileOf(copy))
    const { database: copied } = await open({ url: copy })
    expect(await copied.read((db) => db.select().from(users))).toHaveLength(1)
    await copied.close()
  })
})

describe('writers of one process', () => {
  test('pass one at a time, so that fifty transactions at once all succeed', async () => {
    const { database } = await open({})
    let [running, most] = [0, 0]
    const transfer = (id: number) =>
      database.write(async (db) => {
        running += 1
        most = Math.max(most, running)
        await db.transaction(async (transaction) => {
          await transaction.insert(heartbeats).values({ id, at: 0 })
          // The event loop goes on meanwhile; another writer, if let in, would now block it and wait for this one for ever.
          await new Promise(setImmediate)
          await transaction.update(heartbeats).set({ at: id }).where(eq(heartbeats.id, id))
        })
        running -= 1
      })
    await Promise.all(Array.from({ length: 50 }, (_, i) => transfer(i)))
    expect(most).toBe(1)
    const rows = await database.read((db) => db.select().from(heartbeats).orderBy(heartbeats.id))
    expect(rows).toEqual(Array.from({ length: 50 }, (_, i) => ({ id: i, at: i })))
    await database.close()
  })

  test('are refused at once when a thousand are in line', async () => {
    const { database } = await open({ memory: true })
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = database.write(() => promise)
    const inLine = Promise.all(
      Array.from({ length: 1_000 }, (_, i) => database.write((db) => beat(db, i))),
    )
    const refused = await failure(database.write((db) => beat(db, 1_001)))
    expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
    resolve()
    await Promise.all([first, inLine])
    expect(await database.read((db) => db.$count(heartbeats))).toBe(1_000)
  })

  test('do not stop those behind them by failing', async () => {
    const { database } = await open({ memory: true })
    const writes = [1, 1, 2, 1, 3].map((id) => database.write((db) => beat(db, id)))
    const results = await Promise.allSettled(writes)
    expect(results.map(({ status }) => status[0])).toEqual(['f', 'r', 'f', 'r', 'f'])
  })
})

describe('commits', () => {
  const statementOf = (id: number): Statement => ({
    sql: 'INSERT INTO heartbeats (id, at) VALUES (?, 0)',
    args: [id],
  })

  test('of twenty clients at once are seen from another connection when they are answered', async () => {
    const { database, url } = await open({})
    const elsewhere = (await open({ url })).database
    const ids = Array.from({ length: 20 }, (_, i) => i)
    await Promise.all(ids.map((id) => database.commit([statementOf(id)])))
    expect(await elsewhere.read((db) => db.$count(heartbeats))).toBe(20)
    for (const opened of [database, elsewhere]) await opened.close()
  })

  test('do not fail with the one that a unique index refuses, which no operator is told of', async () => {
    const { database, lines } = await open({})
    const results = await Promise.allSettled(
      [1, 1, 2, 1, 3].map((id) => database.commit([statementOf(id)])),
    )
    expect(results.map(({ status }) => status[0])).toEqual(['f', 'r', 'f', 'r', 'f'])
    expect(results[1]).toMatchObject({ reason: { code: 'conflict' } })
    expect(lines).toEqual([])
    await database.close()
  })

  test('wait for a lock held by somebody else, and are committed when it is gone', async () => {
    const { database, url } = await open({})
    const held = await lock(url)
    const commits = [1, 2, 3].map((id) => database.commit([statementOf(id)]))
    // By then the first try has failed.
    for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
    held[Symbol.dispose]()
    await Promise.all(commits)
    const elsewhere = (await open({ url })).database
    expect(await elsewhere.read((db) => db.$count(heartbeats))).toBe(3)
    for (const opened of [database, elsewhere]) await opened.close()
  })

  test('are refused together when the lock stays, each told so by itself', async () => {
    const clock = createTestClock()
    const { database, url, lines } = await open({ clock })
    using _held = await lock(url)
    const commits = [1, 2, 3].map((id) => failure(database.commit([statementOf(id)])))
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    clock.advance('2s')
    for (const error of await Promise.all(commits))
      expect(error).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
    expect(lines.map((line) => JSON.parse(line).fault)).toEqual(['busy', 'busy', 'busy'])
    await database.close()
  })

  test('are not disturbed by a write that met a lock', async () => {
    const { database, url } = await open({})
    const held = await lock(url)
    const blocked = database.write((db) => beat(db, 9))
    const commits = [1, 2, 3].map((id) => database.commit([statementOf(id)]))
    for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
    held[Symbol.dispose]()
    await Promise.all([blocked, ...commits])
    expect(await database.read((db) => db.$count(heartbeats))).toBe(4)
    await database.close()
  })

  test('of no statements have no outcomes', async () => {
    const { database } = await open({ memory: true })
    expect(await database.commit([])).toEqual([])
  })
})

describe('a lock held by somebody else', () => {
  test('is waited for while the event loop goes on', async () => {
    const { database, url } = await open({})
    const held = await lock(url)
    const tries = counter(6)
    let turns = 0
    const turning = setInterval(() => {
      turns += 1
    })
    const turnsAtTry: number[] = []
    const write = database.write((db) => {
      turnsAtTry.push(turns)
      tries.add()
      return beat(db, 1)
    })
    await tries.reached
    held[Symbol.dispose]()
    await write
    clearInterval(turning)
    // Timers ran between each try and the next: no wait stopped the event loop.
    expect(turnsAtTry).toEqual([...new Set(turnsAtTry)])
    expect(await database.read((db) => db.$count(heartbeats))).toBe(1)
    await database.close()
  })

  test('leaves no connection behind on which writes are acknowledged and not committed', async () => {
    const { database, url } = await open({})
    const held = await lock(url)
    const tries = counter(3)
    const first = database.write((db) => {
      tries.add()
      return beat(db, 1)
    })
    await tries.reached
    held[Symbol.dispose]()
    await first
    const elsewhere = (await open({ url })).database
    for (const id of [2, 3, 4]) {
      await database.write((db) => beat(db, id))
      // Seen from another connection: only what was committed.
      expect(await elsewhere.read((db) => db.$count(heartbeats))).toBe(id)
    }
    for (const opened of [database, elsewhere]) await opened.close()
  })

  test('after a refusal leaves none either, and reads that run meanwhile are not disturbed', async () => {
    const clock = createTestClock()
    const { database, url } = await open({ clock })
    const held = await lock(url)
    const tries = counter(2)
    const refused = failure(
      database.write((db) => {
        tries.add()
        return beat(db, 1)
      }),
    )
    const reads = Array.from({ length: 50 }, () => database.read((db) => db.$count(heartbeats)))
    expect(await Promise.all(reads)).toEqual(Array(50).fill(0))
    await tries.reached
    clock.advance('2s')
    expect(await refused).toBeInstanceOf(AuthError)
    held[Symbol.dispose]()
    const elsewhere = (await open({ url })).database
    await database.write((db) => beat(db, 1))
    expect(await elsewhere.read((db) => db.$count(heartbeats))).toBe(1)
    for (const opened of [database, elsewhere]) await opened.close()
  })

  test('does not hold up reads', async () => {
    const { database, url } = await open({})
    await database.write((db) => beat(db, 1))
    using _held = await lock(url)
    expect(await database.read((db) => db.select().from(heartbeats))).toEqual([{ id: 1, at: 0 }])
  })

  test('for more than a second and a half is a refusal that says when to come again', async () => {
    const clock = createTestClock()
    const { database, url, lines } = await open({ clock })
    using _held = await lock(url)
    const [early, late] = [counter(5), counter(10)]
    const write = failure(
      database.write((db) => {
        early.add()
        late.add()
        return beat(db, 1)
      }),
    )
    await early.reached
    clock.advance('1s')
    await late.reached
    clock.advance('1s')
    const refused = await write
    expect(refused).toBeInstanceOf(AuthError)
    expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'database.fault', kind: 'write', fault: 'busy', detail: 'SQLITE_BUSY' },
    ])
  })

  test('is not waited for again by each who stood in line meanwhile', async () => {
    const clock = createTestClock()
    const { database, url } = await open({ clock })
    using _held = await lock(url)
    const [tries, begunLate] = [counter(3), counter()]
    const first = failure(
      database.write((db) => {
        tries.add()
        return beat(db, 0)
      }),
    )
    const behind = Array.from({ length: 20 }, (_, i) =>
      failure(
        database.write((db) => {
          begunLate.add()
          return beat(db, i + 1)
        }),
      ),
    )
    await tries.reached
    clock.advance('2s')
    const refusals = await Promise.all([first, ...behind])
    expect(new Set(refusals.map((error) => Reflect.get(Object(error), 'code')))).toEqual(
      new Set(['SERVICE_UNAVAILABLE']),
    )
    // Each try would stop the event loop for the moment that the binding waits: twenty of them, for a second.
    expect(begunLate.count()).toBe(0)
  })

  test('costs a request its time once, however many statements it has', async () => {
    const clock = createTestClock()
    const { database, url, metrics } = await open({ clock })
    const elsewhere = (await open({ url })).database
    const taking = (time: '1s') => (db: Db) => {
      clock.advance(time)
      return db.$count(heartbeats)
    }
    const outcomes = await database.forRequest(async () => [
      await failure(database.read(taking('1s'))),
      await failure(database.read(taking('1s'))),
      await failure(database.read(taking('1s'))),
      await failure(database.write((db) => beat(db, 1))),
    ])
    const refused = expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' })
    expect(outcomes).toEqual([DONE, DONE, refused, refused])
    expect(await metrics.print()).toContain(
      'munjigi_database_statement_seconds_sum{kind="read"} 2\n',
    )
    // What was refused was not begun, and another request has a time of its own.
    expect(await database.forRequest(() => elsewhere.read((db) => db.$count(heartbeats)))).toBe(0)
    expect(await failure(database.forRequest(() => database.write((db) => beat(db, 1))))).toBe(DONE)
    for (const opened of [database, elsewhere]) await opened.close()
  })

  test('keeps no request in line whose time is over', async () => {
    const clock = createTestClock()
    const { database } = await open({ clock })
    const writer = await busyWriter(database)
    const refused = database.forRequest(async () => {
      await database.read(async () => clock.advance('2s'))
      return await failure(database.commit([{ sql: 'DELETE FROM heartbeats', args: [] }]))
    })
    expect(await refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE' })
    await writer.end()
    await database.close()
  })

  test('begins nothing of a request whose time has ended in line', async () => {
    const clock = createTestClock()
    const { database } = await open({ clock })
    const writer = await busyWriter(database)
    const waiting = counter(1)
    const refused = database.forRequest(async () => {
      await database.read(async () => clock.advance('1s'))
      const write = database.write((db) => beat(db, 1))
      waiting.add()
      return await failure(write)
    })
    await waiting.reached
    clock.advance('1s')
    await writer.end()
    expect(await refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE' })
    expect(await database.read((db) => db.$count(heartbeats))).toBe(0)
    await database.close()
  })

  test('is waited for when the database is opened, even before it is in write-ahead mode', async () => {
    files += 1
    const url = `file:${join(folder, `${files}.db`)}`
    const held = await lock(url)
    const { log } = createTestLog()
    const metrics = createMetrics('')
    const options = { url, clock: systemClock, random: createTestRandom(), log, metrics }
    const opening = failure(openDatabase(options).then((database) => database.close()))
    // A timer runs when the loop has gone round, that is after the first try.
    await new Promise((resolve) => setTimeout(resolve, 1))
    held[Symbol.dispose]()
    expect(await opening).toBe('nothing was thrown')
  })
})

describe('of the reads of requests', () => {
  /** Fifty, none of which is answered before `answer`. */
  async function fifty() {
    const clock = createTestClock()
    const { database } = await open({ clock, memory: true })
    const begun = counter()
    const { promise, resolve: answer } = Promise.withResolvers<void>()
    const read = () =>
      database.read(() => {
        begun.add()
        return promise
      })
    const reads = Array.from({ length: 50 }, () => failure(database.forRequest(read)))
    return { clock, database, begun, answer, reads }
  }

  test('a server gets twenty at a time; writes and the background wait for none of them', async () => {
    const { database, begun, answer, reads } = await fifty()
    await database.write((db) => beat(db, 1))
    expect(await database.read((db) => db.$count(heartbeats))).toBe(1)
    expect(begun.count()).toBe(20)
    answer()
    expect(await Promise.all(reads)).toEqual(reads.map(() => DONE))
    expect(begun.count()).toBe(50)
    await database.close()
  })

  test('those whose turn comes when most of their time is over are refused and not begun', async () => {
    const { clock, database, begun, answer, reads } = await fifty()
    clock.advance('1s')
    answer()
    const outcomes = await Promise.all(reads)
    expect(outcomes.slice(0, 20)).toEqual(outcomes.slice(0, 20).map(() => DONE))
    for (const refused of outcomes.slice(20))
      expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
    expect(begun.count()).toBe(20)
    await database.close()
  })

  test('those of a caller who asks without end leave others a place in the line, and their turn comes in time', async () => {
    const clock = createTestClock()
    const { database } = await open({ clock, memory: true })
    const atWork: Array<() => void> = []
    const read = () => database.read(() => new Promise<void>((resolve) => atWork.push(resolve)))
    const ask = (caller: string) => failure(database.forRequest(read, () => caller))
    const askGreedily = () => {
      for (let i = 0; i < 50; i += 1) void ask('greedy')
    }
    /** Of fifty reads, all of the greedy one, a server that takes 50 ms for each answers twenty. */
    const goOn = async (rounds: number) => {
      for (let i = 0; i < rounds; i += 1) {
        askGreedily()
        await new Promise(setImmediate)
        clock.advance('0.05s')
        for (const answer of atWork.splice(0)) answer()
      }
    }
    await goOn(40)
    askGreedily()
    const alone = ask('alone')
    await goOn(60)
    expect(await alone).toBe(DONE)
    await database.close()
  })
})

describe('a file that was moved away takes no more writes, which would be lost,', () => {
  const write = (database: Database, id: number) => failure(database.write((db) => beat(db, id)))
  const commit = (database: Database, id: number) =>
    failure(database.commit([{ sql: 'INSERT INTO heartbeats VALUES (?, 0)', args: [id] }]))

  async function moveAway() {
    const { database, url, lines } = await open({})
    await database.write((db) => beat(db, 1))
    const path = fileOf(url)
    renameSync(path, `${path}.moved`)
    return { database, url, lines, putBack: () => renameSync(`${path}.moved`, path) }
  }

  test('until it is back', async () => {
    const { database, lines, putBack } = await moveAway()
    for (const refused of [await write(database, 2), await commit(database, 3)])
      expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
    const fault = { event: 'database.fault', fault: 'unreachable', detail: 'FILE_REPLACED' }
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([fault, fault])
    expect(await database.read((db) => db.$count(heartbeats))).toBe(1)
    putBack()
    expect([await write(database, 4), await commit(database, 5)]).toEqual([DONE, DONE])
    expect(await database.read((db) => db.$count(heartbeats))).toBe(3)
    await database.close()
  })

  test('when another is in its place as well', async () => {
    const { database, url } = await moveAway()
    writeFileSync(fileOf(url), '')
    for (const refused of [await write(database, 2), await commit(database, 3)])
      expect(refused).toMatchObject({ code: 'SERVICE_UNAVAILABLE' })
    await database.close()
  })
})

describe('a failure tells neither statement nor parameters', () => {
  const insertTwice = async (db: Db) => {
    await db.insert(users).values(user(SENTINEL))
    await db.insert(users).values({ ...user(SENTINEL), id: toUserId(SENTINEL) })
  }
  const cases: ReadonlyArray<{
    name: string
    run: (db: Db) => Promise<unknown>
    code: string
    detail?: string
  }> = [
    { name: 'a unique index says no', run: insertTwice, code: 'conflict', detail: 'unique' },
    {
      name: 'a unique index says no within a batch',
      run: (db) =>
        db.batch([
          db.insert(users).values(user('kim@example.com')),
          db.insert(users).values(user(SENTINEL)),
          db.insert(users).values({ ...user(SENTINEL), id: toUserId(SENTINEL) }),
        ]),
      code: 'conflict',
      detail: 'unique',
    },
    {
      name: 'a foreign key says no',
      run: (db) => db.insert(children).values({ parent: SENTINEL, size: 1 }),
      code: 'other',
      detail: 'SQLITE_CONSTRAINT',
    },
    {
      name: 'a value is missing',
      run: (db) => db.run(sql`INSERT INTO children (parent) VALUES (${SENTINEL})`),
      code: 'other',
      detail: 'SQLITE_CONSTRAINT',
    },
    {
      name: 'the statement is wrong',
      run: (db) => db.run(sql`SELECT ${SENTINEL} FROM SENTINEL_4711`),
      code: 'other',
      detail: 'SQLITE_ERROR',
    },
    {
      name: 'SQLite itself repeats a parameter',
      run: (db) => db.run(sql`SELECT json_extract('{}', ${SENTINEL})`),
      code: 'other',
      detail: 'SQLITE_ERROR',
    },
    {
      name: 'a parameter is of a wrong kind',
      run: (db) => db.run(sql`SELECT ${{ toString: () => SENTINEL, SENTINEL }}`),
      code: 'other',
    },
    {
      name: 'the disk is full',
      async run(db) {
        await db.run(sql`PRAGMA max_page_count = 1`)
        await db.insert(users).values(user(SENTINEL.repeat(100_000)))
      },
      code: 'SERVICE_UNAVAILABLE',
    },
  ]

  test.each(cases)('when $name', async ({ run, code, detail }) => {
    const { database, lines } = await open({})
    await database.write((db) =>
      db.run(sql`CREATE TABLE children (parent text REFERENCES users(id), size integer NOT NULL)`),
    )
    const error = await failure(database.write(run))
    expect(error).toMatchObject(detail ? { code, detail } : { code })
    expect(error).toBeInstanceOf(detail || code === 'other' ? StorageFault : AuthError)
    expect(textOf(error)).not.toContain(SENTINEL)
    expect(lines.join()).not.toContain(SENTINEL)
    await database.close()
  })

  test('when the database was closed', async () => {
    const { database, lines } = await open({ memory: true })
    await database.close()
    const attempts = [
      database.read((db) => db.select().from(users).where(eq(users.email, SENTINEL))),
      database.write((db) => db.insert(users).values(user(SENTINEL))),
    ]
    for (const error of await Promise.all(attempts.map(failure))) {
      expect(error).toMatchObject({ code: 'SERVICE_UNAVAILABLE', details: { retryAfter: 1 } })
      expect(textOf(error)).not.toContain(SENTINEL)
    }
    // It is no fault: a replica that ends closes its database while work goes on that nobody waits for.
    expect(lines).toEqual([])
  })

  // Bun's names for what a network, a firewall or an expired certificate does on the way to a server.
  test.each([
    'ECONNREFUSED',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'EADDRNOTAVAIL',
    'EACCES',
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ])('when there is no way to the server: %s', async (code) => {
    const { database, lines } = await open({ memory: true })
    const error = Object.assign(new Error(SENTINEL), { code })
    expect(await failure(database.read(() => Promise.reject(error)))).toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
      details: { retryAfter: 1 },
    })
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { fault: 'unreachable', detail: code },
    ])
    expect(lines.join()).not.toContain(SENTINEL)
  })

  test('when a lock was held too long', async () => {
    const clock = createTestClock()
    const { database, url, lines } = await open({ clock })
    using _held = await lock(url)
    const tries = counter(2)
    const write = failure(
      database.write((db) => {
        tries.add()
        return db.insert(users).values(user(SENTINEL))
      }),
    )
    await tries.reached
    clock.advance('2s')
    expect(textOf(await write)).not.toContain(SENTINEL)
    expect(lines.join()).not.toContain(SENTINEL)
  })

  test('when the file is no database, or no file', async () => {
    const garbage = join(folder, 'garbage.db')
    writeFileSync(garbage, SENTINEL.repeat(1_000))
    for (const path of [garbage, folder]) {
      const { log } = createTestLog()
      const metrics = createMetrics('')
      const options = { clock: systemClock, random: createTestRandom(), log, metrics }
      const error = await failure(
        openDatabase({ url: `file:${path}`, authToken: SENTINEL, ...options }),
      )
      expect(textOf(error)).not.toContain(SENTINEL)
      // Whatever the driver threw has been reduced: the command line tells by it that it is the database.
      expect(error instanceof StorageFault || error instanceof AuthError).toBe(true)
    }
  })
})

test.each([401, 500])('a server that answers %d is told of by that number', async (status) => {
  using server = Bun.serve({ port: 0, fetch: () => new Response(SENTINEL, { status }) })
  const error = await failure(open({ url: `http://127.0.0.1:${server.port}` }))
  expect(error).toMatchObject({ code: 'unreachable', detail: `HTTP_${status}` })
})

test('a code that is no word in capitals could be anything, and is not told', () => {
  const fault = toFault(Object.assign(new Error(), { code: SENTINEL.toLowerCase() }))
  expect(fault.message).toBe('other (unknown)')
})

test('an error that is its own cause is a failure like others', () => {
  const error = new Error('round and round')
  error.cause = error
  expect(toFault(error)).toMatchObject({ code: 'other', detail: 'unknown' })
})

describe('what is stored does not change what a failure is', () => {
  test.each([
    'UNIQUE constraint failed: users.email_key',
    'SQLITE_BUSY@example.com',
    'database is locked',
    'SQLITE_FULL@example.com',
    'fetch failed',
  ])('%s', async (value) => {
    const { database } = await open({})
    const tries = counter()
    const error = await failure(
      database.write((db) => {
        tries.add()
        return db.run(sql`INSERT INTO users (id) VALUES (${value})`)
      }),
    )
    expect(error).toMatchObject({ code: 'other', detail: 'SQLITE_CONSTRAINT' })
    expect(tries.count()).toBe(1)
    await database.close()
  })
})
