// The read replica: when it is asked, and what is asked of it. A copy of a file stands for one that is behind;
// e2e/read-replica.test.ts has a real one.

import { afterAll, afterEach, describe, expect, jest, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { createMetrics } from '../observability/metrics.ts'
import type { TestApp } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { createTestClock } from '../testing/clock.ts'
import { createTestLog } from '../testing/log.ts'
import { createTestRandom } from '../testing/random.ts'
import { users } from '../users/table.ts'
import type { Db } from './database.ts'
import { openDatabase } from './database.ts'
import { createReadReplica } from './read-replica.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-read-replica-'))
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => void jest.useRealTimers())
let files = 0

function newUrl(): string {
  files += 1
  return `file:${join(folder, `${files}.db`)}`
}

/** A read replica whose heartbeats and failures a test decides. */
function create() {
  const clock = createTestClock()
  const { log, lines } = createTestLog()
  const metrics = createMetrics('')
  const server = { beat: clock.now() as number | undefined, fails: false, asked: 0 }
  const answering = async <T>(value: T) => {
    server.asked += 1
    if (server.fails) throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' })
    return value
  }
  const replica = createReadReplica({
    newestBeat: async () => await answering(server.beat),
    ...{ clock, random: createTestRandom(), log, metrics },
  })
  const ask = (isEnough = (_: string) => true) =>
    replica.answer(() => answering('its answer'), isEnough)
  const said = () =>
    lines.map((line) => JSON.parse(line)).map(({ event, reason }) => ({ event, reason }))
  return { replica, server, ask, clock, metrics, said, counts: () => countsOf(metrics) }
}

async function countsOf(metrics: { print(): Promise<string> }) {
  const text = await metrics.print()
  const count = (result: string) =>
    Number(new RegExp(`stale_reads_total\\{result="${result}"\\} (\\d+)`).exec(text)?.[1])
  return { answered: count('answered'), behind: count('behind'), away: count('away') }
}

describe('a read replica is asked', () => {
  test('once a look has shown that it keeps up', async () => {
    const { replica, ask, counts } = create()
    expect(await ask()).toBeNull()
    await replica.look()
    expect(await ask()).toEqual({ value: 'its answer' })
    expect(await counts()).toEqual({ answered: 1, behind: 1, away: 0 })
  })

  test('not when what it shows is older than five seconds, between two looks either', async () => {
    const { replica, server, ask, clock, counts } = create()
    await replica.look()
    clock.advance('5s')
    expect(await ask()).not.toBeNull()
    clock.advance('1s')
    expect(await ask()).toBeNull()
    await replica.look()
    expect(await ask()).toBeNull()
    server.beat = clock.now()
    await replica.look()
    expect(await ask()).not.toBeNull()
    expect(await counts()).toEqual({ answered: 2, behind: 2, away: 0 })
  })

  test('not when it is empty', async () => {
    const { replica, server, ask } = create()
    server.beat = undefined
    await replica.look()
    expect(await ask()).toBeNull()
  })

  test('not again, once it has failed, until it answers a look', async () => {
    const { replica, server, ask, counts } = create()
    await replica.look()
    server.fails = true
    for (let i = 0; i < 10; i += 1) expect(await ask()).toBeNull()
    await replica.look()
    expect(await ask()).toBeNull()
    expect(server.asked).toBe(1 + 1 + 1)
    server.fails = false
    expect(await ask()).toBeNull()
    await replica.look()
    expect(await ask()).not.toBeNull()
    expect(await counts()).toEqual({ answered: 1, behind: 0, away: 12 })
  })

  test('in vain, when its answer is not enough; that is no failure', async () => {
    const { replica, ask, counts } = create()
    await replica.look()
    expect(await ask((answer) => answer !== 'its answer')).toBeNull()
    expect(await ask()).not.toBeNull()
    expect(await counts()).toEqual({ answered: 1, behind: 1, away: 0 })
  })
})

describe('the log of a read replica', () => {
  test('says once that it is away, and once that it is back', async () => {
    const { replica, server, said } = create()
    server.fails = true
    for (let i = 0; i < 5; i += 1) await replica.look()
    server.fails = false
    for (let i = 0; i < 5; i += 1) await replica.look()
    expect(said()).toEqual([
      { event: 'read_replica.away', reason: 'ECONNREFUSED' },
      { event: 'read_replica.back', reason: undefined },
    ])
  })

  test('says nothing of what one look found and the next did not', async () => {
    const { replica, server, clock, said } = create()
    clock.advance('1m')
    await replica.look()
    server.beat = clock.now()
    await replica.look()
    server.fails = true
    await replica.look()
    expect(said()).toEqual([])
  })

  test('tells its age in seconds, be the clock that wrote its beat ahead or not', async () => {
    const { replica, clock, metrics } = create()
    await replica.look()
    const age = async () =>
      /^munjigi_database_read_replica_age_seconds (.+)/m.exec(await metrics.print())?.[1]
    expect(await age()).toBe('0')
    clock.advance('4s')
    expect(await age()).toBe('4')
    clock.advance('-6s')
    expect(await age()).toBe('0')
  })

  test('says that it is behind', async () => {
    const { replica, clock, said } = create()
    clock.advance('1m')
    await replica.look()
    await replica.look()
    expect(said()).toEqual([{ event: 'read_replica.away', reason: 'behind' }])
  })
})

/** An app with a user of two sessions; a second one on its database, with a read replica: a copy as of now, marked. */
async function withReplica() {
  const databaseUrl = newUrl()
  const primary = await createTestApp({ config: { databaseUrl } })
  const { data } = await primary.run(SIGNUP, KIM)
  const other = await login(primary)
  await primary.start()
  primary.stop()
  const readUrl = newUrl()
  const client = createClient({ url: databaseUrl })
  await client.execute(`VACUUM INTO '${readUrl.slice('file:'.length)}'`)
  client.close()
  const marked = createClient({ url: readUrl })
  await marked.executeMultiple(
    "UPDATE sessions SET client = 'on the replica'; UPDATE users SET created_at = 0",
  )
  marked.close()
  const { clock, random, metrics } = primary
  const { log } = createTestLog()
  const database = await openDatabase({ url: databaseUrl, readUrl, clock, random, log, metrics })
  const app = await createTestApp({ database, clock })
  return {
    app,
    other,
    token: data.signup.tokens.accessToken as string,
    refreshToken: data.signup.tokens.refreshToken as string,
    [Symbol.dispose]: database.close,
  }
}

test('a read replica is not looked at any more when the database is closed', async () => {
  jest.useFakeTimers()
  const url = newUrl()
  const { clock, random, metrics } = await createTestApp()
  const { log } = createTestLog()
  const database = await openDatabase({ url, readUrl: url, clock, random, log, metrics })
  expect(jest.getTimerCount()).toBe(1)
  await database.close()
  expect(jest.getTimerCount()).toBe(0)
})

const SESSIONS = '{ sessions { client current } }'
const CREATED = '{ me { createdAt } }'
const login = async (app: TestApp): Promise<string> =>
  (await app.run(LOGIN, KIM)).data.login.tokens.accessToken
const names = async (app: TestApp, token: string) =>
  (await app.run(SESSIONS, {}, token)).data.sessions.map((s: { client: string }) => s.client)

describe('a read replica is asked for', () => {
  test("the viewer's sessions", async () => {
    using it = await withReplica()
    expect(await names(it.app, it.token)).toEqual(['on the replica', 'on the replica'])
  })

  test('no sessions of a viewer whose login it does not know yet', async () => {
    using it = await withReplica()
    const later = await login(it.app)
    expect(await names(it.app, later)).toEqual(['', '', ''])
  })

  test('no sessions that have ended, however far it is behind', async () => {
    using it = await withReplica()
    const ended = await it.app.run('mutation { logout { sessions } }', {}, it.other)
    expect(ended.data.logout.sessions).toBe(1)
    expect(await names(it.app, it.token)).toEqual(['on the replica'])
  })

  test('when the viewer signed up', async () => {
    using it = await withReplica()
    const { data } = await it.app.run(CREATED, {}, it.token)
    expect(data.me.createdAt).toBe('1970-01-01T00:00:00.000Z')
  })

  test('not when somebody signed up whom it does not know yet: nobody is told that they do not exist', async () => {
    using it = await withReplica()
    const { data } = await it.app.run(SIGNUP, { ...KIM, email: 'lee@example.com' })
    const me = await it.app.run(CREATED, {}, data.signup.tokens.accessToken)
    expect(me.data.me.createdAt).toBe('2026-01-01T00:00:00.000Z')
  })

  test('nothing that decides: a login reads the password of the primary', async () => {
    using it = await withReplica()
    const password = 'another horse battery'
    const change = await it.app.run(
      'mutation Change($a: String!, $b: String!) { changePassword(currentPassword: $a, newPassword: $b) { accessToken } }',
      { a: KIM.password, b: password },
      it.token,
    )
    expect(change.code).toBeUndefined()
    expect((await it.app.run(LOGIN, { ...KIM, password })).code).toBeUndefined()
  })

  test('nothing that decides: a token replaced before is judged by the session of the primary', async () => {
    using it = await withReplica()
    const refresh = async (token: string) =>
      await it.app.run('mutation ($t: String!) { refresh(refreshToken: $t) { refreshToken } }', {
        t: token,
      })
    const { data } = await refresh(it.refreshToken)
    await refresh(data.refresh.refreshToken)
    await refresh(it.refreshToken)
    expect(it.app.events.map(({ type }) => type)).toContain('session.reuse_detected')
  })
})

describe('a read replica that is of no use disturbs nobody', () => {
  const count = (db: Db) => db.$count(users)

  async function open(readUrl: string) {
    const { log } = createTestLog()
    const metrics = createMetrics('')
    const options = {
      url: newUrl(),
      readUrl,
      clock: createTestClock(),
      random: createTestRandom(),
      log,
      metrics,
    }
    const database = await openDatabase(options)
    return { database, counts: () => countsOf(metrics), [Symbol.dispose]: database.close }
  }

  test('one that is empty', async () => {
    using it = await open(newUrl())
    expect(await it.database.readStale(count)).toBe(0)
    expect(await it.counts()).toEqual({ answered: 0, behind: 0, away: 1 })
  })

  test('one that is not there', async () => {
    using it = await open('http://127.0.0.1:9')
    expect(await it.database.readStale(count)).toBe(0)
    expect(await it.counts()).toEqual({ answered: 0, behind: 0, away: 1 })
  })

  test('one that refuses our token', async () => {
    using server = Bun.serve({ port: 0, fetch: () => new Response(null, { status: 401 }) })
    using it = await open(`http://127.0.0.1:${server.port}`)
    expect(await it.database.readStale(count)).toBe(0)
    expect(await it.counts()).toEqual({ answered: 0, behind: 0, away: 1 })
  })

  test('one that never answers is waited for by nobody but the look', async () => {
    const requests: string[] = []
    const { promise: looked, resolve } = Promise.withResolvers<void>()
    using server = Bun.serve({
      port: 0,
      async fetch(request) {
        requests.push(await request.text())
        resolve()
        return new Promise<Response>(() => {})
      },
    })
    using it = await open(`http://127.0.0.1:${server.port}`)
    await looked
    expect(
      await Promise.all(Array.from({ length: 20 }, () => it.database.readStale(count))),
    ).toEqual(Array.from({ length: 20 }, () => 0))
    // On a busy machine it may have looked again meanwhile.
    expect(requests.filter((text) => !text.includes('heartbeats'))).toEqual([])
  })
})
