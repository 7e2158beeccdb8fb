// A libSQL server with a read replica under two processes of ours: what is read where, told by the servers' own counts of
// statements, and what happens when the replica stands still, hangs, dies, or comes back.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { LOGIN, SIGNUP } from '../src/testing/app.ts'
import { ask } from './ask.ts'
import type { Sqld } from './database.ts'
import { canRunSqld, startSqld } from './database.ts'
import { freePort } from './ports.ts'
import type { Server } from './server.ts'
import { metric, startServer, UNTHROTTLED } from './server.ts'
import type { SlowLink } from './slow-link.ts'
import { startSlowLink } from './slow-link.ts'
import { until } from './until.ts'

setDefaultTimeout(60_000)

const hasSqld = canRunSqld()

const PASSWORD = 'correct horse battery staple'
const REFRESH = 'mutation ($t: String!) { refresh(refreshToken: $t) { accessToken refreshToken } }'
const END = 'mutation ($id: ID!) { endSession(id: $id) { sessions } }'
const CHANGE =
  'mutation ($a: String!, $b: String!) { changePassword(currentPassword: $a, newPassword: $b) { accessToken } }'
const SESSIONS = '{ sessions { id current } }'
const CREATED = '{ me { createdAt } }'

interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
}

let people = 0
const newPerson = () => ({ email: `user-${++people}@example.com`, password: PASSWORD })

async function signup({ url }: Server, variables = newPerson()): Promise<Tokens> {
  return (await ask(url, SIGNUP, { variables })).data.signup.tokens
}

async function login({ url }: Server, variables: { email: string; password: string }) {
  return await ask(url, LOGIN, { variables })
}

async function idsOf({ url }: Server, { accessToken: token }: Tokens): Promise<string[]> {
  const { data } = await ask(url, SESSIONS, { token })
  return data.sessions.map(({ id }: { id: string }) => id)
}

async function currentOf({ url }: Server, { accessToken: token }: Tokens): Promise<string> {
  const { data } = await ask(url, SESSIONS, { token })
  return data.sessions.find(({ current }: { current: boolean }) => current).id
}

/** A libSQL server that counts. */
interface Counting {
  readonly sqld: Sqld
  /** Statements so far, by their text. */
  statements(): Promise<Map<string, number>>
}

function counting(sqld: Sqld, adminPort: number): Counting {
  return {
    sqld,
    async statements() {
      const answer = await fetch(`http://127.0.0.1:${adminPort}/v1/namespaces/default/stats`)
      const { queries } = (await answer.json()) as {
        queries?: { stats: { query: string; count: number }[] }
      }
      return new Map(queries?.stats.map(({ query, count }) => [query, count]))
    },
  }
}

const LISTS = /^select .* from "sessions" .*order by/
const USERS_BY_ID = /^SELECT .* FROM users WHERE id = \?$/
const BEATS = /^select .* from "heartbeats"/

async function count({ statements }: Counting, pattern: RegExp): Promise<number> {
  return [...(await statements())].reduce((sum, [text, n]) => sum + (pattern.test(text) ? n : 0), 0)
}

const answered = (server: Server) =>
  metric(server, 'munjigi_database_stale_reads_total{result="answered"}')

describe.skipIf(!hasSqld)('a read replica', () => {
  let [link, primary, replica]: [SlowLink, Counting, Counting] = [] as never
  let [one, two]: [Server, Server] = [] as never
  const started: AsyncDisposable[] = []
  const start = async <T extends AsyncDisposable>(starting: Promise<T>): Promise<T> => {
    const part = await starting
    started.unshift(part)
    return part
  }

  beforeAll(async () => {
    if (!hasSqld) return
    const [grpcPort, ...admins] = [freePort(), freePort(), freePort()]
    primary = counting(await start(startSqld({ grpcPort, adminPort: admins[0] })), admins[0] ?? 0)
    link = await start(startSlowLink(`http://127.0.0.1:${grpcPort}`))
    const primaryGrpcPort = Number(new URL(link.url).port)
    replica = counting(
      await start(startSqld({ primaryGrpcPort, adminPort: admins[1] })),
      admins[1] ?? 0,
    )
    ;[one, two] = await Promise.all([start(startService()), start(startService())])
    await untilUsed()
  })
  afterAll(async () => {
    for (const part of started) await part[Symbol.asyncDispose]()
  })

  const startService = () =>
    startServer({
      mode: 'serve',
      database: primary.sqld.url,
      env: { ...UNTHROTTLED, MUNJIGI_DATABASE_READ_URL: replica.sqld.url },
    })

  /** A list that both read there. */
  async function untilUsed(): Promise<void> {
    const tokens = await signup(one)
    for (const server of [one, two])
      await until('the replica is asked', async () => {
        const before = await answered(server)
        await idsOf(server, tokens)
        return (await answered(server)) > before
      })
  }

  test('answers lists, and nothing that decides', async () => {
    const person = newPerson()
    let tokens = await signup(one, person)
    await until('it knows the user', async () => {
      const before = await answered(two)
      await ask(two.url, CREATED, { token: tokens.accessToken })
      return (await answered(two)) > before
    })
    const counts = async () => ({
      lists: [await count(primary, LISTS), await count(replica, LISTS)],
      users: [await count(primary, USERS_BY_ID), await count(replica, USERS_BY_ID)],
    })
    const before = await counts()
    for (let i = 0; i < 10; i += 1) {
      await idsOf(two, tokens)
      await ask(two.url, CREATED, { token: tokens.accessToken })
    }
    const after = await counts()
    expect(after.lists[0]).toBe(before.lists[0] ?? -1)
    expect(after.users[0]).toBe(before.users[0] ?? -1)
    expect((after.lists[1] ?? 0) - (before.lists[1] ?? 0)).toBe(10)
    expect((after.users[1] ?? 0) - (before.users[1] ?? 0)).toBe(10)

    tokens = (await ask(two.url, REFRESH, { variables: { t: tokens.refreshToken } })).data.refresh
    expect((await login(two, person)).code).toBeUndefined()
    expect((await ask(two.url, SIGNUP, { variables: person })).code).toBe('EMAIL_TAKEN')
    const asked = [...(await replica.statements()).keys()]
    expect(asked.filter((text) => ![LISTS, USERS_BY_ID, BEATS].some((p) => p.test(text)))).toEqual(
      [],
    )
  })

  test('that stands still misleads nobody', async () => {
    const person = newPerson()
    const first = await signup(one, person)
    const gone = await currentOf(one, first)
    const second: Tokens = (await login(one, person)).data.login.tokens
    await until('it knows both sessions', async () => {
      const before = await answered(two)
      await idsOf(two, second)
      return (await answered(two)) > before
    })
    const away = saidAway(two)
    link.hold()
    const before = await answered(two)

    const third: Tokens = (await login(one, person)).data.login.tokens
    expect(await idsOf(two, third)).toHaveLength(3)
    const { accessToken: token } = second
    await ask(one.url, END, { token, variables: { id: gone } })
    await until('the other process refuses its token', async () => {
      const { code } = await ask(two.url, '{ me { id } }', { token: first.accessToken })
      return code === 'UNAUTHENTICATED'
    })
    const { code } = await ask(two.url, REFRESH, { variables: { t: first.refreshToken } })
    expect(code).toBe('INVALID_REFRESH_TOKEN')
    // Answered by the replica, for which it has not ended.
    for (const server of [one, two]) expect(await idsOf(server, second)).not.toContain(gone)
    expect(await answered(two)).toBeGreaterThan(before)

    const newPassword = 'another horse battery'
    await ask(one.url, CHANGE, { token, variables: { a: PASSWORD, b: newPassword } })
    expect((await login(two, person)).code).toBe('INVALID_CREDENTIALS')
    expect((await login(two, { ...person, password: newPassword })).code).toBeUndefined()
    const lee = await signup(one)
    const me = await ask(two.url, CREATED, { token: lee.accessToken })
    expect(me.data.me.createdAt).toBeString()

    await until('it is said', () => saidAway(two) > away)
    const asked = await count(replica, LISTS)
    expect(await idsOf(two, lee)).toHaveLength(1)
    expect(await count(replica, LISTS)).toBe(asked)
    link.letGo()
    await untilUsed()
    await until('it is said', () => saidBack(two) === saidAway(two))
  })

  test.each([
    ['hangs', (sqld) => sqld.hang(), async (sqld) => sqld.goOn()],
    ['is gone', (sqld) => sqld.kill(), (sqld) => sqld.restart()],
  ] as const satisfies ReadonlyArray<[string, Act, Act]>)(
    'that %s is done without',
    async (_, go, comeBack) => {
      const tokens = await signup(one)
      await go(replica.sqld)
      const lists = await Promise.all(Array.from({ length: 20 }, () => idsOf(two, tokens)))
      expect(lists.every((ids) => ids.length === 1)).toBe(true)
      await until('it is said', () => saidAway(two) > saidBack(two))
      const before = await metric(two, 'munjigi_database_stale_reads_total{result="away"}')
      expect(await idsOf(two, tokens)).toHaveLength(1)
      expect(await metric(two, 'munjigi_database_stale_reads_total{result="away"}')).toBe(
        before + 1,
      )
      await comeBack(replica.sqld)
      await untilUsed()
      await until('it is said', () => saidAway(two) === saidBack(two))
      expect(two.lines.filter((line) => line.includes('"event":"database.fault"'))).toEqual([])
    },
  )

  test('that is not there at the start is used once it is', async () => {
    await replica.sqld.kill()
    await using three = await startService()
    const tokens = await signup(three)
    expect(await idsOf(three, tokens)).toHaveLength(1)
    expect(await answered(three)).toBe(0)
    await replica.sqld.restart()
    await until('it is asked', async () => {
      await idsOf(three, tokens)
      return (await answered(three)) > 0
    })
  })
})

type Act = (sqld: Sqld) => void | Promise<void>

const said = (event: string) => (server: Server) =>
  server.lines.filter((line) => line.includes(`"event":"read_replica.${event}"`)).length
const saidAway = said('away')
const saidBack = said('back')
