// Sessions, through HTTP: refresh and its races, reuse, limits, ending, on one replica and on another.

import { describe, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { AuthError } from '../errors.ts'
import type { Database, Db } from '../storage/database.ts'
import type { TestApp } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, ME, SIGNUP } from '../testing/app.ts'
import { createTestClock } from '../testing/clock.ts'
import { knownAddresses } from '../throttle/table.ts'
import { createRefreshTokens } from './refresh-token.ts'
import { toSessionId } from './session.ts'
import { selectEnded } from './store.ts'
import { endedSessions, sessions } from './table.ts'

const REFRESH =
  'mutation Refresh($t: String!) { refresh(refreshToken: $t) { accessToken expiresIn refreshToken refreshExpiresIn } }'
const LOGOUT = 'mutation Logout($t: String) { logout(refreshToken: $t) { sessions } }'
const END = 'mutation End($id: ID!) { endSession(id: $id) { sessions } }'
const SESSIONS = '{ sessions { id createdAt lastUsedAt expiresAt clientAddress client current } }'
const CHANGE =
  'mutation Change($a: String!, $b: String!) { changePassword(currentPassword: $a, newPassword: $b) { accessToken refreshToken } }'
const DELETE = 'mutation Delete($p: String!) { deleteMe(password: $p) { sessions } }'
const NEW_PASSWORD = 'another horse battery'

interface Tokens {
  accessToken: string
  refreshToken: string
}

async function signup(app: TestApp, email: string = KIM.email): Promise<Tokens> {
  return (await app.run(SIGNUP, { ...KIM, email })).data.signup.tokens
}

async function login(app: TestApp, password: string = KIM.password): Promise<Tokens> {
  return (await app.run(LOGIN, { ...KIM, password })).data.login.tokens
}

const refresh = (app: TestApp, t: string) => app.run(REFRESH, { t })
const refreshed = async (app: TestApp, t: string): Promise<Tokens> =>
  (await refresh(app, t)).data.refresh
const works = async (app: TestApp, { accessToken }: Tokens) =>
  (await app.run(ME, {}, accessToken)).code === undefined
const reasons = (app: TestApp) =>
  app.events.flatMap((event) => (event.type === 'session.ended' ? [event.reason] : []))

/** A second replica on the same database and clock. */
async function replicaOf(app: TestApp): Promise<TestApp> {
  const replica = await createTestApp({ database: app.database, clock: app.clock })
  await look(replica)
  return replica
}

/** Looks once at what other replicas ended, and has one heartbeat. */
async function look(replica: TestApp): Promise<void> {
  await replica.start()
  replica.stop()
}

/** Lets seconds pass in a replica whose database takes writes. */
async function live(replica: TestApp, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    replica.clock.advance('1s')
    await look(replica)
  }
}

describe('refresh', () => {
  test('gives the next tokens of the same session, for as long as the settings say', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    app.clock.advance('9m')
    const { data } = await refresh(app, tokens.refreshToken)
    expect(data.refresh).toMatchObject({ expiresIn: 600, refreshExpiresIn: 30 * 86_400 })
    const sid = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid
    expect(sid(data.refresh.accessToken)).toBe(sid(tokens.accessToken))
    expect(await works(app, data.refresh)).toBe(true)
    expect(app.events.at(-1)).toEqual({
      type: 'session.refreshed',
      userId: 'usr_1',
      sessionId: 'ses_1',
      repeated: false,
      clientAddress: '192.0.2.1',
    })
  })

  test('works with a stale access token in the header', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    app.clock.advance('1h')
    expect(
      (await app.run(REFRESH, { t: tokens.refreshToken }, tokens.accessToken)).code,
    ).toBeUndefined()
  })

  test('of one token fifty times at once has one winner, and all get the same successor', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(app, refreshToken)))
    const successors = new Set(answers.map(({ data }) => data.refresh.refreshToken))
    expect(successors.size).toBe(1)
    expect(app.events.filter((e) => e.type === 'session.refreshed' && !e.repeated)).toHaveLength(1)
    expect(app.events.filter((e) => e.type === 'session.refreshed' && e.repeated)).toHaveLength(49)
    expect(await refreshed(app, [...successors][0] as string)).toBeTruthy()
  })

  test('of the parent again within the grace gives the same successor, later it ends the session', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    app.clock.advance('1m')
    const child = await refreshed(app, refreshToken)
    app.clock.advance('30s')
    expect((await refreshed(app, refreshToken)).refreshToken).toBe(child.refreshToken)
    app.clock.advance('1s')
    expect((await refresh(app, refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect((await refresh(app, child.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(await works(app, child)).toBe(false)
    expect(app.events.map(({ type }) => type)).toContain('session.reuse_detected')
    expect(reasons(app)).toEqual(['reuse'])
  })

  test('of the parent again has the grace, not counting a standstill of the database that the first refresh fell into', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    await look(app)
    app.clock.advance('1s')
    const child = await refreshed(app, refreshToken)
    app.clock.advance('44s')
    // The database still stands still.
    expect((await refreshed(app, refreshToken)).refreshToken).toBe(child.refreshToken)
    await look(app)
    await live(app, 30)
    expect((await refreshed(app, refreshToken)).refreshToken).toBe(child.refreshToken)
    await live(app, 1)
    expect((await refresh(app, refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  test('of the parent again has the grace, not counting any standstill that began later', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    const child = await refreshed(app, refreshToken)
    for (const seconds of [45, 20]) {
      await live(app, 10)
      app.clock.advance(`${seconds}s`)
      await look(app)
    }
    await live(app, 10)
    expect((await refreshed(app, refreshToken)).refreshToken).toBe(child.refreshToken)
    await live(app, 1)
    expect((await refresh(app, refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  test('of the parent again has the grace, not counting the time in which no replica ran', async () => {
    const killed = await createTestApp()
    const { refreshToken } = await signup(killed)
    await look(killed)
    const child = await refreshed(killed, refreshToken)
    killed.clock.advance('44s')
    const app = await replicaOf(killed)
    await live(app, 30)
    expect((await refreshed(app, refreshToken)).refreshToken).toBe(child.refreshToken)
    await live(app, 1)
    expect((await refresh(app, refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  test('of the parent again ten times at once, too late, is reported once, by the one that ended the session', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    await refreshed(app, refreshToken)
    app.clock.advance('31s')
    const thief = app.from('203.0.113.9')
    await Promise.all(Array.from({ length: 10 }, () => thief.run(REFRESH, { t: refreshToken })))
    const told = app.events.map(({ type }) => type).slice(-2)
    expect(told).toEqual(['session.ended', 'session.reuse_detected'])
    expect(app.events.filter(({ type }) => told.includes(type))).toHaveLength(2)
    expect(app.events.at(-1)).toMatchObject({ generation: 0, clientAddress: '203.0.113.9' })
  })

  test('of the grandparent ends the session at once, grace or not', async () => {
    const app = await createTestApp()
    const first = await signup(app)
    const third = await refreshed(app, (await refreshed(app, first.refreshToken)).refreshToken)
    expect((await refresh(app, first.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(await works(app, third)).toBe(false)
    expect((await refresh(app, third.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  test('of a token replaced before, whose client has left, ends nothing: a replica stood still meanwhile', async () => {
    const app = await createTestApp()
    const first = await signup(app)
    const third = await refreshed(app, (await refreshed(app, first.refreshToken)).refreshToken)
    const late = { query: REFRESH, variables: { t: first.refreshToken } }
    const answer = await app.post(late, {}, AbortSignal.abort())
    expect(await answer.json()).toMatchObject({
      errors: [{ extensions: { code: 'INVALID_REFRESH_TOKEN' } }],
    })
    expect(reasons(app)).toEqual([])
    expect((await refresh(app, third.refreshToken)).code).toBeUndefined()
  })

  test('keeps a session alive to its absolute limit, and no longer', async () => {
    const app = await createTestApp()
    let tokens = await signup(app)
    for (const left of [30, 30, 3]) {
      app.clock.advance('29d')
      const { data } = await refresh(app, tokens.refreshToken)
      expect(data.refresh.refreshExpiresIn).toBe(left * 86_400)
      tokens = data.refresh
    }
    app.clock.advance(`${3 * 86_400 - 90}s`)
    const { data } = await refresh(app, tokens.refreshToken)
    // An access token of the full ten minutes could not be taken back once nothing is left of the session.
    expect([data.refresh.refreshExpiresIn, data.refresh.expiresIn]).toEqual([90, 90])
    app.clock.advance('90s')
    expect((await refresh(app, data.refresh.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  test('is promised for no longer than the absolute limit, be it the shorter one', async () => {
    const app = await createTestApp({ config: { sessionIdleTtl: 100, sessionMaxTtl: 50 } })
    const { tokens } = (await app.run(SIGNUP, KIM)).data.signup
    expect(tokens.refreshExpiresIn).toBe(50)
    app.clock.advance('0.5s')
    expect((await refresh(app, tokens.refreshToken)).data.refresh.refreshExpiresIn).toBe(49)
  })

  test('that is answered when its session has expired promises nothing, and not less than that', async () => {
    const app = await createTestApp({ config: { sessionMaxTtl: 60 } })
    const { refreshToken } = await signup(app)
    const database: Database = {
      ...app.database,
      async commit(statements) {
        const outcomes = await app.database.commit(statements)
        app.clock.advance('2s')
        return outcomes
      },
    }
    app.clock.advance('59s')
    const { data } = await refresh(
      await createTestApp({ database, clock: app.clock }),
      refreshToken,
    )
    expect(data.refresh.refreshExpiresIn).toBe(0)
  })

  test('gives nothing within the grace either when the session has expired meanwhile', async () => {
    const app = await createTestApp({ config: { sessionMaxTtl: 50 } })
    const { refreshToken } = await signup(app)
    app.clock.advance('40s')
    await refreshed(app, refreshToken)
    app.clock.advance('10s')
    expect((await refresh(app, refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(reasons(app)).toEqual([])
  })

  test('after the idle limit is refused, one second before it is not', async () => {
    const [app, late] = [await createTestApp(), await createTestApp()]
    const [tokens, lateTokens] = [await signup(app), await signup(late)]
    app.clock.advance(`${30 * 86_400 - 1}s`)
    late.clock.advance('30d')
    expect((await refresh(app, tokens.refreshToken)).code).toBeUndefined()
    expect((await refresh(late, lateTokens.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
  })

  describe('of a token forged with the secret of the server, but without that of the session,', () => {
    /** In everything but its secret it is the first one of the session. */
    const forged = ({ config, random }: TestApp) => {
      const tokens = createRefreshTokens([config.secret], random)
      return tokens.write(tokens.first(toSessionId('ses_1')))
    }

    test('is refused and ends nothing: the real one still works', async () => {
      const app = await createTestApp()
      const real = await signup(app)
      expect((await refresh(app, forged(app))).code).toBe('INVALID_REFRESH_TOKEN')
      expect(app.events.map(({ type }) => type)).toEqual(['user.signed_up'])
      expect((await refresh(app, real.refreshToken)).code).toBeUndefined()
    })

    test('gives no successor within the grace either: it is taken for a reuse', async () => {
      const app = await createTestApp()
      await refreshed(app, (await signup(app)).refreshToken)
      expect((await refresh(app, forged(app))).code).toBe('INVALID_REFRESH_TOKEN')
      expect(reasons(app)).toEqual(['reuse'])
    })
  })

  test.each([
    ['deleted', 'PRAGMA foreign_keys = OFF; DELETE FROM users; PRAGMA foreign_keys = ON'],
    ['disabled', 'UPDATE users SET disabled_at = 0'],
  ])(
    'of a user who was %s with a shell, where no session ends, gives nothing, within the grace either',
    async (_, byHand) => {
      const app = await createTestApp()
      const { refreshToken } = await signup(app)
      const child = await refreshed(app, refreshToken)
      await app.database.write(({ $client }) => $client.executeMultiple(byHand))
      for (const token of [refreshToken, child.refreshToken])
        expect((await refresh(app, token)).code).toBe('INVALID_REFRESH_TOKEN')
      expect(await app.metrics.print()).toContain('munjigi_refreshes_total{result="invalid"} 2\n')
    },
  )

  test.each([
    ['nothing', ''],
    ['garbage', 'garbage'],
    ['a text like a token', 'mjr_ses_1.0.x.y'],
    ['90,000 characters', 'x'.repeat(90_000)],
  ])('of %s is refused, costs no statement and loses nothing', async (_, t) => {
    const app = await createTestApp()
    const tokens = await signup(app)
    const count = async () => [await statements(app, 'read'), await statements(app, 'write')]
    const before = await count()
    expect((await refresh(app, t)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(await count()).toEqual(before)
    expect((await refresh(app, tokens.refreshToken)).code).toBeUndefined()
  })
})

describe('kinds of tokens are never taken for each other (ASVS 9.2.2)', () => {
  test('an access token does not refresh, a refresh token does not authenticate', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    expect((await refresh(app, tokens.accessToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect((await app.run(ME, {}, tokens.refreshToken)).code).toBe('UNAUTHENTICATED')
    expect((await app.run(LOGOUT, { t: tokens.accessToken })).data.logout.sessions).toBe(0)
    expect((await app.run(LOGIN, KIM, tokens.refreshToken)).data.login.__typename).toBe('LoggedIn')
    expect((await refresh(app, tokens.refreshToken)).code).toBeUndefined()
  })
})

test('aliases do not multiply trips to the database: of all sessions, and of the user, there is one', async () => {
  const app = await createTestApp()
  const { accessToken } = await signup(app)
  const aliases = Array.from({ length: 13 }, (_, i) => `m${i}: me { createdAt }`)
  const before = await statements(app, 'read')
  const { data, errors } = await app.run(
    `{ a: sessions { id } b: sessions { id } ${aliases.join(' ')} }`,
    {},
    accessToken,
  )
  expect(errors).toBeUndefined()
  expect([data.a, data.m0]).toEqual([data.b, data.m12])
  expect((await statements(app, 'read')) - before).toBe(2)
})

describe('logout', () => {
  test('ends the session of the access token', async () => {
    const app = await createTestApp()
    const [tokens, other] = [await signup(app), await login(app)]
    expect((await app.run(LOGOUT, {}, tokens.accessToken)).data.logout.sessions).toBe(1)
    expect(await works(app, tokens)).toBe(false)
    expect((await refresh(app, tokens.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(await works(app, other)).toBe(true)
    expect((await app.run(LOGOUT, {}, tokens.accessToken)).data.logout.sessions).toBe(0)
    // What a client in Go sends where it has none.
    expect((await app.run(LOGOUT, { t: '' }, other.accessToken)).data.logout.sessions).toBe(1)
    expect(await works(app, other)).toBe(false)
  })
  test('ends the session of a refresh token, also of an older one, also without an access token', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    const next = await refreshed(app, tokens.refreshToken)
    expect((await app.run(LOGOUT, { t: tokens.refreshToken })).data.logout.sessions).toBe(1)
    expect((await refresh(app, next.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect(reasons(app)).toEqual(['logout'])
    for (const t of [tokens.refreshToken, 'garbage', ''])
      expect((await app.run(LOGOUT, { t })).data.logout.sessions).toBe(0)
  })

  test('with a refresh token that is none ends nothing, not even the session of the access token', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    const { data } = await app.run(LOGOUT, { t: 'garbage' }, tokens.accessToken)
    expect(data.logout.sessions).toBe(0)
    expect(await works(app, tokens)).toBe(true)
  })
  test('of one session after another: no access token works again while it is young', async () => {
    const app = await createTestApp()
    app.clock.advance('10m')
    const tokens = [
      await signup(app, 'kim@example.com'),
      await signup(app, 'lee@example.com'),
      await signup(app, 'park@example.com'),
    ]
    for (const { accessToken } of tokens) {
      expect((await app.run(LOGOUT, {}, accessToken)).data.logout.sessions).toBe(1)
      app.clock.advance('2m')
    }
    for (const { accessToken } of tokens)
      expect((await app.run(ME, {}, accessToken)).code).toBe('UNAUTHENTICATED')
    expect(await app.metrics.print()).toContain('munjigi_ended_sessions_known 3\n')
  })
  test('ends no session that has expired', async () => {
    const app = await createTestApp()
    const { refreshToken } = await signup(app)
    app.clock.advance('30d')
    expect((await app.run(LOGOUT, { t: refreshToken })).data.logout.sessions).toBe(0)
    expect(reasons(app)).toEqual([])
  })
  test('is final: a login with the dead token opens a new session', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    await app.run(LOGOUT, {}, tokens.accessToken)
    expect((await app.run(LOGIN, KIM, tokens.accessToken)).data.login.__typename).toBe('LoggedIn')
  })
  test('of all ends all, of this user only', async () => {
    const app = await createTestApp()
    const [mine, also, hers] = [
      await signup(app),
      await login(app),
      await signup(app, 'lee@example.com'),
    ]
    expect(
      (await app.run('mutation { logoutAll { sessions } }', {}, mine.accessToken)).data.logoutAll
        .sessions,
    ).toBe(2)
    expect(await Promise.all([mine, also, hers].map((tokens) => works(app, tokens)))).toEqual([
      false,
      false,
      true,
    ])
    expect(reasons(app)).toEqual(['logout_all', 'logout_all'])
  })
})

describe('sessions', () => {
  test('are listed for their user, the newest first, saying which is this one', async () => {
    const app = await createTestApp()
    const first = await signup(app)
    app.clock.advance('1m')
    await app.post({ query: LOGIN, variables: KIM }, { 'user-agent': 'Reader/1.0' })
    app.clock.advance('1m')
    await refreshed(app, first.refreshToken)
    const { data } = await app.run(SESSIONS, {}, first.accessToken)
    expect(data.sessions).toEqual([
      {
        id: 'ses_2',
        createdAt: '2026-01-01T00:01:00.000Z',
        lastUsedAt: '2026-01-01T00:01:00.000Z',
        expiresAt: '2026-01-31T00:01:00.000Z',
        clientAddress: '192.0.2.1',
        client: 'Reader/1.0',
        current: false,
      },
      {
        id: 'ses_1',
        createdAt: '2026-01-01T00:00:00.000Z',
        lastUsedAt: '2026-01-01T00:02:00.000Z',
        expiresAt: '2026-01-31T00:02:00.000Z',
        clientAddress: '192.0.2.1',
        client: '',
        current: true,
      },
    ])
  })

  test('that have expired are not listed, even before they are swept', async () => {
    const app = await createTestApp()
    await signup(app)
    app.clock.advance('29d')
    await login(app)
    app.clock.advance('1d')
    const { accessToken } = await login(app)
    const { data } = await app.run('{ sessions { id } }', {}, accessToken)
    expect(data.sessions).toEqual([{ id: 'ses_3' }, { id: 'ses_2' }])
  })
  test('name their client in two hundred characters at most', async () => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    await app.post({ query: LOGIN, variables: KIM }, { 'user-agent': 'x'.repeat(201) })
    const { data } = await app.run('{ sessions { client } }', {}, accessToken)
    expect(data.sessions).toEqual([{ client: 'x'.repeat(200) }, { client: '' }])
  })
  test.each([
    ['UTF-8, as some clients send it', '문지기 앱/1.0 🚪', '문지기 앱/1.0 🚪'],
    ['UTF-8, cut within a character', `${'x'.repeat(199)}🚪`, `${'x'.repeat(199)}\ufffd`],
  ])('name their client in its own letters: %s', async (_, name, client) => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    const bytes = Buffer.from(name).toString('latin1')
    await app.post({ query: LOGIN, variables: KIM }, { 'user-agent': bytes })
    const { data } = await app.run('{ sessions { client } }', {}, accessToken)
    expect(data.sessions).toEqual([{ client }, { client: '' }])
  })
  test('name a client that sends Latin-1 as that', async () => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    await app.post({ query: LOGIN, variables: KIM }, { 'user-agent': 'Café/1.0' })
    const { data } = await app.run('{ sessions { client } }', {}, accessToken)
    expect(data.sessions).toEqual([{ client: 'Café/1.0' }, { client: '' }])
  })
  test('are ended one by one, only by their user', async () => {
    const app = await createTestApp()
    const [mine, also, hers] = [
      await signup(app),
      await login(app),
      await signup(app, 'lee@example.com'),
    ]
    const end = async (id: string, token: string) =>
      (await app.run(END, { id }, token)).data.endSession.sessions
    expect(await end('ses_2', hers.accessToken)).toBe(0)
    expect(await end('ses_2', mine.accessToken)).toBe(1)
    expect(await end('ses_2', mine.accessToken)).toBe(0)
    expect(await end('nonsense', mine.accessToken)).toBe(0)
    expect(await Promise.all([mine, also, hers].map((tokens) => works(app, tokens)))).toEqual([
      true,
      false,
      true,
    ])
  })
  test('an id that is no text ends none, and what others write with it is written', async () => {
    const app = await createTestApp()
    const { accessToken, refreshToken } = await signup(app)
    const [ended, next] = await Promise.all([
      app.run(END, { id: '\ud800' }, accessToken),
      refresh(app, refreshToken),
    ])
    expect(ended.data?.endSession.sessions).toBe(0)
    expect(next.code).toBeUndefined()
  })

  test.each([
    SESSIONS,
    'mutation { logoutAll { sessions } }',
    'mutation { endSession(id: "x") { sessions } }',
    'mutation { changePassword(currentPassword: "x", newPassword: "12345678") { expiresIn } }',
    'mutation { deleteMe(password: "x") { sessions } }',
  ])('need a viewer: %s', async (query) => {
    expect((await (await createTestApp()).run(query)).code).toBe('UNAUTHENTICATED')
  })
  test('beyond the limit end the oldest', async () => {
    const app = await createTestApp({ config: { maxSessions: 3 } })
    const opened = [await signup(app)]
    for (let i = 0; i < 4; i += 1) {
      app.clock.advance('1s')
      opened.push(await login(app))
    }
    expect(await Promise.all(opened.map((tokens) => works(app, tokens)))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
    expect(reasons(app)).toEqual(['evicted', 'evicted'])
  })
  test.each([1, 3])(
    'beyond a limit of %d never end the one just opened, whatever the clocks',
    async (maxSessions) => {
      const config = { maxSessions }
      const app = await createTestApp({ config })
      const clock = createTestClock()
      clock.advance('2s')
      const ahead = await createTestApp({ config, database: app.database, clock })
      await signup(ahead)
      for (let i = 1; i < maxSessions; i += 1) await login(ahead)
      expect(await works(app, await login(app))).toBe(true)
      expect(reasons(app)).toEqual(['evicted'])
    },
  )
  test.each([1, 2])(
    'beyond a limit of %d leave as many as that when several are opened at once',
    async (maxSessions) => {
      const config = { maxSessions }
      const full = await createTestApp({ config })
      for (let i = 0; i < maxSessions; i += 1) await (i === 0 ? signup(full) : login(full))
      full.clock.advance('1s')
      const { database, clock } = full
      const atOnce = maxSessions + 1
      let opened = 0
      const all = Promise.withResolvers<void>()
      const commit: Database['commit'] = async (statements) => {
        const [first] = statements
        if (first?.sql.includes('ended_sessions')) await all.promise
        const outcomes = await database.commit(statements)
        if (first?.sql.includes('INSERT INTO sessions')) opened += 1
        if (opened === atOnce) all.resolve()
        return outcomes
      }
      const app = await createTestApp({ config, database: { ...database, commit }, clock })
      const tokens = await Promise.all(Array.from({ length: atOnce }, () => login(app)))
      const working = await Promise.all(tokens.map((one) => works(app, one)))
      expect(working.filter(Boolean)).toHaveLength(maxSessions)
    },
  )
  test('that have expired push none out, and are not said to have ended', async () => {
    const app = await createTestApp({ config: { maxSessions: 3, sessionIdleTtl: 3_600 } })
    const [oldest, older] = [await signup(app), await login(app)]
    app.clock.advance('1m')
    await login(app)
    app.clock.advance('30m')
    const used = [
      await refreshed(app, oldest.refreshToken),
      await refreshed(app, older.refreshToken),
    ]
    app.clock.advance('45m')
    await login(app)
    expect(reasons(app)).toEqual([])
    const last = await login(app)
    expect(
      await Promise.all(
        used.map(async ({ refreshToken }) => (await refresh(app, refreshToken)).code),
      ),
    ).toEqual(['INVALID_REFRESH_TOKEN', undefined])
    const { data } = await app.run('mutation { logoutAll { sessions } }', {}, last.accessToken)
    expect(data.logoutAll.sessions).toBe(3)
    expect(reasons(app)).toEqual(['evicted', 'logout_all', 'logout_all', 'logout_all'])
  })
  test('that could not be ended are ended by the next login, and this one is no failure', async () => {
    const config = { maxSessions: 2 }
    const app = await createTestApp({ config })
    for (let i = 0; i < 2; i += 1) await (i === 0 ? signup(app) : login(app))
    const database: Database = {
      ...app.database,
      commit: (statements) =>
        statements[0]?.sql.includes('ended_sessions')
          ? Promise.reject(new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 }))
          : app.database.commit(statements),
    }
    const failing = await createTestApp({ config, database, clock: app.clock })
    expect(await login(failing)).toBeTruthy()
    expect(reasons(failing)).toEqual([])
    await login(app)
    expect(reasons(app)).toEqual(['evicted', 'evicted'])
  })
})

describe('a password that was right, but has been changed by now,', () => {
  test.each([
    ['login', LOGIN, KIM, 'INSERT INTO sessions', 'login.failed'],
    [
      'changePassword',
      CHANGE,
      { a: KIM.password, b: 'one horse, no battery' },
      'UPDATE users',
      'reauthentication.failed',
    ],
    [
      'deleteMe',
      DELETE,
      { p: KIM.password },
      'INSERT INTO ended_sessions',
      'reauthentication.failed',
    ],
  ])('is refused by %s, and an event', async (_, query, input, decisive, event) => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    let changed = false
    const database: Database = {
      ...app.database,
      async commit(statements) {
        if (statements[0]?.sql.startsWith(decisive) && !changed) {
          changed = true
          await app.run(CHANGE, { a: KIM.password, b: NEW_PASSWORD }, accessToken)
        }
        return await app.database.commit(statements)
      },
    }
    const other = await createTestApp({ database, clock: app.clock })
    const { code } = await other.run(query, input, query === LOGIN ? undefined : accessToken)
    expect([changed, code]).toEqual([true, 'INVALID_CREDENTIALS'])
    expect(other.events.map(({ type }): string => type)).toEqual([event])
    expect(await login(app, NEW_PASSWORD)).toBeTruthy()
  })
})

describe('changePassword', () => {
  test('for which there is no room does not count as a wrong password', async () => {
    const app = await createTestApp({ config: { throttleUserAttempts: 1 } })
    const { accessToken } = await signup(app)
    const client = new AbortController()
    const { observeHash } = app.metrics
    // The client leaves when the current password has been checked, before the new one is hashed.
    app.metrics.observeHash = (seconds) => {
      observeHash(seconds)
      client.abort()
    }
    const body = { query: CHANGE, variables: { a: KIM.password, b: NEW_PASSWORD } }
    const headers = { authorization: `Bearer ${accessToken}` }
    const answer = await app.from('198.51.100.7').post(body, headers, client.signal)
    expect(await answer.text()).toContain('OVERLOADED')
    // Nor does the address become one of the user's: somebody who knew the password once may be a stranger.
    expect(await app.database.read((db) => db.$count(knownAddresses))).toBe(1)
    expect((await app.from('198.51.100.7').run(LOGIN, KIM)).code).toBeUndefined()
  })

  test('ends every session and opens one; the old password is one no longer', async () => {
    const app = await createTestApp()
    const [mine, also] = [await signup(app), await login(app)]
    const { data } = await app.run(CHANGE, { a: KIM.password, b: NEW_PASSWORD }, mine.accessToken)
    expect(
      await Promise.all([mine, also, data.changePassword].map((tokens) => works(app, tokens))),
    ).toEqual([false, false, true])
    expect((await refresh(app, data.changePassword.refreshToken)).code).toBeUndefined()
    expect((await app.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
    expect(await login(app, NEW_PASSWORD)).toBeTruthy()
    expect(reasons(app)).toEqual(['password_changed', 'password_changed'])
  })
  test.each([
    ['a wrong current password', { a: 'wrong horse', b: NEW_PASSWORD }, 'INVALID_CREDENTIALS'],
    ['an empty current password', { a: '', b: NEW_PASSWORD }, 'INVALID_CREDENTIALS'],
    ['a weak new password', { a: KIM.password, b: 'short' }, 'WEAK_PASSWORD'],
  ])('with %s changes nothing', async (_, input, code) => {
    const app = await createTestApp()
    const mine = await signup(app)
    const answer = await app.run(CHANGE, input, mine.accessToken)
    expect(answer.code).toBe(code)
    expect(await works(app, mine)).toBe(true)
    expect(await login(app)).toBeTruthy()
  })
  test('twenty times at once has one winner, whose password and session are the ones that remain', async () => {
    const app = await createTestApp()
    const mine = await signup(app)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        app.run(CHANGE, { a: KIM.password, b: `${NEW_PASSWORD} ${i}` }, mine.accessToken),
      ),
    )
    const winners = answers.flatMap(({ data }, i) => (data?.changePassword ? [i] : []))
    expect(winners).toHaveLength(1)
    // Some were refused by the throttle, and this replica remembers that for a second.
    app.clock.advance('1s')
    expect(await login(app, `${NEW_PASSWORD} ${winners[0]}`)).toBeTruthy()
    const { changePassword } = answers[winners[0] ?? 0]?.data ?? {}
    expect(await works(app, changePassword)).toBe(true)
    expect(await works(await replicaOf(app), changePassword)).toBe(true)
    expect((await refresh(app, changePassword.refreshToken)).code).toBeUndefined()
  })
})

describe('what changes users and sessions together', () => {
  /** A database that takes nothing any more once a statement like this was committed. */
  function failingAfter(app: TestApp, at: RegExp): Database {
    let failed = false
    const gone = () => Promise.reject(new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 }))
    const unless =
      <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
      (...args: A) =>
        failed ? gone() : work(...args)
    const commit: Database['commit'] = async (statements) => {
      const outcomes = await unless(() => app.database.commit(statements))()
      if (statements.some(({ sql }) => at.test(sql))) failed = true
      return outcomes
    }
    const { read, write } = app.database
    return { ...app.database, commit, read: unless(read), write: unless(write) }
  }

  const CHANGED = /^UPDATE users SET password_hash/
  const DELETED = /^DELETE FROM users/

  test.each([
    ['changePassword', CHANGED, CHANGE, { a: KIM.password, b: NEW_PASSWORD }, 'password_changed'],
    ['deleteMe', DELETED, DELETE, { p: KIM.password }, 'user_deleted'],
  ] as const)(
    '%s is one transaction: nothing that could fail follows it',
    async (_, at, text, input, reason) => {
      const app = await createTestApp()
      const mine = await signup(app)
      const database = failingAfter(app, at)
      const replica = await createTestApp({ database, clock: app.clock })
      expect((await replica.run(text, input, mine.accessToken)).code).toBeUndefined()
      expect(reasons(replica)).toEqual([reason])
      expect(await works(replica, mine)).toBe(false)
      const addresses = await app.database.read((db) => db.select().from(knownAddresses))
      expect(addresses).toHaveLength(reason === 'user_deleted' ? 0 : 1)
    },
  )

  /** Has the database refuse a kind of statement. */
  async function refuse(app: TestApp, what: string): Promise<() => Promise<unknown>> {
    const trigger = `CREATE TRIGGER no BEFORE ${what} BEGIN SELECT RAISE(ABORT, 'no'); END`
    await app.database.write((db) => db.run(trigger))
    return () => app.database.write((db) => db.run('DROP TRIGGER no'))
  }

  test.each([
    ['changePassword', 'INSERT ON sessions', CHANGE, { a: KIM.password, b: NEW_PASSWORD }],
    ['deleteMe', 'DELETE ON users', DELETE, { p: KIM.password }],
  ])('%s whose last step is refused has taken none', async (_, what, text, input) => {
    const app = await createTestApp()
    const mine = await signup(app)
    const allow = await refuse(app, what)
    expect((await app.run(text, input, mine.accessToken)).code).toBe('INTERNAL_SERVER_ERROR')
    await allow()
    expect(reasons(app)).toEqual([])
    expect(await works(await replicaOf(app), mine)).toBe(true)
    expect((await refresh(app, mine.refreshToken)).code).toBeUndefined()
    expect(await login(app)).toBeTruthy()
  })

  test('a signup whose session cannot be written leaves no user behind', async () => {
    const app = await createTestApp()
    const allow = await refuse(app, 'INSERT ON sessions')
    expect((await app.run(SIGNUP, KIM)).code).toBe('INTERNAL_SERVER_ERROR')
    await allow()
    expect((await app.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
    expect(app.events.map(({ type }) => type)).toEqual(['login.failed'])
    expect(await signup(app)).toBeTruthy()
  })

  test('a user who is disabled deletes nothing, even before replicas know', async () => {
    const app = await createTestApp()
    const mine = await signup(app)
    await app.database.write((db) => db.run('UPDATE users SET disabled_at = 1'))
    const answer = await app.run(DELETE, { p: KIM.password }, mine.accessToken)
    expect(answer.code).toBe('INVALID_CREDENTIALS')
  })

  test.each([
    ['changes no password', CHANGED, CHANGE, { a: KIM.password, b: NEW_PASSWORD }],
    ['deletes nothing', DELETED, DELETE, { p: KIM.password }],
  ])(
    'a user who is disabled after the password was checked %s, and ends no session',
    async (_, at, text, input) => {
      const app = await createTestApp()
      const mine = await signup(app)
      const database: Database = {
        ...app.database,
        async commit(statements) {
          if (statements.some(({ sql }) => at.test(sql)))
            await app.database.write((db) => db.run('UPDATE users SET disabled_at = 1'))
          return await app.database.commit(statements)
        },
      }
      const replica = await createTestApp({ database, clock: app.clock })
      expect((await replica.run(text, input, mine.accessToken)).code).toBe('INVALID_CREDENTIALS')
      await app.database.write((db) => db.run('UPDATE users SET disabled_at = NULL'))
      expect(await login(app)).toBeTruthy()
      expect(await works(await replicaOf(app), mine)).toBe(true)
      expect((await refresh(app, mine.refreshToken)).code).toBeUndefined()
    },
  )
})

test.each([
  ['changePassword', CHANGE, { a: 'wrong horse', b: NEW_PASSWORD }, 'currentPassword'],
  ['deleteMe', DELETE, { p: 'wrong horse' }, 'password'],
])('a wrong password with a good token is told of: %s', async (_, text, input, field) => {
  const app = await createTestApp()
  const { accessToken } = await signup(app)
  const { code, errors } = await app.run(text, input, accessToken)
  expect([code, errors?.[0]?.extensions['field']]).toEqual(['INVALID_CREDENTIALS', field])
  expect(app.events.at(-1)).toEqual({
    type: 'reauthentication.failed',
    userId: 'usr_1',
    sessionId: 'ses_1',
    clientAddress: '192.0.2.1',
  })
})

describe('a session that ends in a request', () => {
  const BOTH =
    'mutation ($email: String!, $password: String!) { logout { sessions } login(email: $email, password: $password) { __typename } }'
  test('is no session for the fields that follow', async () => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    const { data } = await app.run(BOTH, KIM, accessToken)
    expect(data).toEqual({ logout: { sessions: 1 }, login: { __typename: 'LoggedIn' } })
  })
})

describe('deleteMe', () => {
  test('deletes the user; the address is free again, the id is not', async () => {
    const app = await createTestApp()
    const [mine, also] = [await signup(app), await login(app)]
    expect((await app.run(DELETE, { p: 'wrong horse' }, mine.accessToken)).code).toBe(
      'INVALID_CREDENTIALS',
    )
    expect(
      (await app.run(DELETE, { p: KIM.password }, mine.accessToken)).data.deleteMe.sessions,
    ).toBe(2)
    expect(await Promise.all([mine, also].map((tokens) => works(app, tokens)))).toEqual([
      false,
      false,
    ])
    expect((await refresh(app, also.refreshToken)).code).toBe('INVALID_REFRESH_TOKEN')
    expect((await app.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
    expect((await app.run(SIGNUP, KIM)).data.signup.user.id).toBe('usr_2')
  })

  test('leaves nothing in any table that leads to the user', async () => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    await app.from('198.51.100.7').run(LOGIN, { ...KIM, password: 'wrong horse' })
    const [known] = await app.database.read((db) => db.select().from(knownAddresses))
    const traces = ['usr_1', 'kim', '192.0.2.1', known?.user ?? 'no digest']
    const foundIn = (rows: string) => traces.filter((trace) => rows.includes(trace))
    expect(foundIn(await allRows(app))).toEqual(traces)
    await app.run(DELETE, { p: KIM.password }, accessToken)
    expect(foundIn(await allRows(app))).toEqual([])
  })
})

/** Every row of every table, as one text. */
function allRows({ database }: TestApp): Promise<string> {
  return database.read(async (db) => {
    const tables = db.all<{ name: string }>(
      sql`SELECT name FROM sqlite_schema WHERE type = 'table'`,
    )
    const rows = (await tables).map(({ name }) =>
      db.all(sql`SELECT * FROM ${sql.identifier(name)}`),
    )
    return JSON.stringify(await Promise.all(rows))
  })
}

describe('whatever runs beside it, no refresh works afterwards', () => {
  const endings: Array<[string, (app: TestApp, tokens: Tokens) => Promise<unknown>]> = [
    [
      'changePassword',
      (app, { accessToken }) => app.run(CHANGE, { a: KIM.password, b: NEW_PASSWORD }, accessToken),
    ],
    [
      'logoutAll',
      (app, { accessToken }) => app.run('mutation { logoutAll { sessions } }', {}, accessToken),
    ],
    ['deleteMe', (app, { accessToken }) => app.run(DELETE, { p: KIM.password }, accessToken)],
  ]
  test.each(endings)('%s, 200 times', async (_, endAll) => {
    for (let round = 0; round < 10; round += 1) {
      const app = await createTestApp()
      let tokens = await signup(app)
      const chains = Array.from({ length: 20 }, async () => {
        const answer = await refresh(app, tokens.refreshToken)
        if (answer.data?.refresh) tokens = answer.data.refresh
        return answer.data?.refresh?.refreshToken as string | undefined
      })
      const answers = await Promise.all([...chains, endAll(app, tokens).then(() => undefined)])
      const given = [tokens.refreshToken, ...answers.filter((t) => t !== undefined)]
      for (const t of new Set(given))
        expect((await refresh(app, t)).code).toBe('INVALID_REFRESH_TOKEN')
    }
  })
})

describe('another replica', () => {
  test('refuses the access token of an ended session as soon as it has looked', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    const replica = await replicaOf(app)
    expect(await works(replica, tokens)).toBe(true)
    await app.run(LOGOUT, {}, tokens.accessToken)
    await replica.start()
    replica.stop()
    expect(await works(replica, tokens)).toBe(false)
    expect(await replica.metrics.print()).toContain('munjigi_ended_sessions_known 1\n')
  })

  test('learns of an end also from a machine whose clock is behind', async () => {
    const app = await createTestApp()
    const behind = await createTestApp({ database: app.database })
    app.clock.advance('30m')
    const tokens = await signup(app)
    expect((await behind.run(LOGOUT, { t: tokens.refreshToken })).data.logout.sessions).toBe(1)
    await app.run(LOGOUT, {}, (await login(app)).accessToken)
    expect(await works(await replicaOf(app), tokens)).toBe(false)
  })

  test('that starts later knows what ended before, but for what no token outlives', async () => {
    const app = await createTestApp()
    await app.run(LOGOUT, {}, (await signup(app)).accessToken)
    app.clock.advance('2h')
    const tokens = await login(app)
    await app.run(LOGOUT, {}, tokens.accessToken)
    const replica = await replicaOf(app)
    expect(await works(replica, tokens)).toBe(false)
    expect(await replica.metrics.print()).toContain('munjigi_ended_sessions_known 1\n')
  })

  test('that starts later knows what ended before for as long as a token may live', async () => {
    const config = { accessTokenTtl: 86_400 }
    const app = await createTestApp({ config })
    const tokens = await signup(app)
    await app.run(LOGOUT, {}, tokens.accessToken)
    app.clock.advance('23h')
    await app.run(LOGOUT, {}, (await login(app)).accessToken)
    const { database, clock } = app
    const replica = await createTestApp({ config, database, clock })
    await look(replica)
    expect(await works(replica, tokens)).toBe(false)
  })

  test.each(['none', 'one'])(
    'looks with one statement when %s ended since, however long ago the last one did',
    async (ended) => {
      const app = await createTestApp()
      await app.run(LOGOUT, {}, (await signup(app)).accessToken)
      const replica = await replicaOf(app)
      app.clock.advance('2h')
      if (ended === 'one') await app.run(LOGOUT, {}, (await login(app)).accessToken)
      const before = await statements(app, 'read')
      await look(replica)
      expect((await statements(app, 'read')) - before).toBe(1)
    },
  )

  test.each([
    ['fewer than', 1],
    ['as many as', 3],
    ['more than', 4],
  ])(
    'learns of what ends after the database went back to an older state, be it %s were lost',
    async (_, ends) => {
      const app = await createTestApp()
      const replica = await createTestApp({ database: app.database, clock: app.clock })
      const end = async () => {
        const tokens = await login(app)
        await app.run(LOGOUT, {}, tokens.accessToken)
        return tokens
      }
      await signup(app)
      await end()
      const copy = await app.database.read((db) => db.select().from(endedSessions))
      for (let lost = 0; lost < 3; lost += 1) await end()
      await look(replica)
      await app.database.write(({ $client }) =>
        $client.batch(
          [
            `DELETE FROM ended_sessions WHERE sequence > ${copy.length}`,
            `UPDATE sqlite_sequence SET seq = ${copy.length} WHERE name = 'ended_sessions'`,
          ],
          'write',
        ),
      )
      const ended: Tokens[] = []
      for (let i = 0; i < ends; i += 1) ended.push(await end())
      await look(replica)
      for (const tokens of ended) expect(await works(replica, tokens)).toBe(false)
    },
  )

  test('learns of thousands that ended since it looked by looking once', async () => {
    const app = await createTestApp()
    const replica = await createTestApp({ database: app.database, clock: app.clock })
    await app.run(LOGOUT, {}, (await signup(app)).accessToken)
    await look(replica)
    const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
      INSERT INTO ended_sessions (session_id, reason, ended_at) SELECT 'other ' || i, 'logout', ? FROM n`
    const args = [app.clock.now()]
    await app.database.write(({ $client }) => $client.execute({ sql: many, args }))
    const tokens = await login(app)
    await app.run(LOGOUT, {}, tokens.accessToken)
    await look(replica)
    expect(await works(replica, tokens)).toBe(false)
  })

  test('begins its next look at the newest session that ended, however long ago that was', async () => {
    const app = await createTestApp()
    const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
      INSERT INTO ended_sessions (session_id, reason, ended_at) SELECT 'old ' || i, 'logout', i FROM n`
    await app.database.write(({ $client }) => $client.execute(many))
    const from = { sequence: 0, since: app.clock.now(), limit: 1_000 }
    const rows = await app.database.read((db) => selectEnded(db, from))
    expect(rows).toEqual([{ sequence: 3_000, sessionId: toSessionId('old 3000') }])
  })

  test('rotates the tokens of this one', async () => {
    const app = await createTestApp()
    const tokens = await signup(app)
    const replica = await replicaOf(app)
    const [here, there] = await Promise.all([
      refreshed(app, tokens.refreshToken),
      refreshed(replica, tokens.refreshToken),
    ])
    expect(here.refreshToken).toBe(there.refreshToken)
  })
})

test('what nobody needs any more is swept: sessions that expired, and rows of ended ones that no token outlives', async () => {
  const app = await createTestApp()
  const tokens = await signup(app)
  await login(app)
  await app.run(LOGOUT, {}, tokens.accessToken)
  const rows = async () =>
    (
      await app.database.read((db) =>
        db.all(
          'SELECT (SELECT count(*) FROM sessions) AS s, (SELECT count(*) FROM ended_sessions) AS e',
        ),
      )
    )[0]
  app.clock.advance('47h')
  await app.sweep()
  expect(await rows()).toEqual({ s: 1, e: 1 })
  app.clock.advance('31d')
  await app.sweep()
  expect(await rows()).toEqual({ s: 0, e: 0 })
})

test.each([
  [450, 550],
  [550, 450],
])(
  'any number is swept in one round, few at a time, and all else goes on in between: %d, %d',
  async (expired, ended) => {
    const app = await createTestApp()
    const { user } = (await app.run(SIGNUP, KIM)).data.signup
    const rows = (most: number) =>
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${most})`
    await app.database.write(({ $client }) =>
      $client.batch(
        [
          `${rows(expired)} INSERT INTO sessions SELECT 'old_' || i, '${user.id}', 0, '', 0, 0, 0, 0, '', '' FROM n`,
          `${rows(ended)} INSERT INTO ended_sessions SELECT i, 'older_' || i, 'logout', 0 FROM n`,
        ],
        'write',
      ),
    )
    const count = (db: Db) => db.$count(sessions)
    const left = new Set<number>()
    let isSwept = false
    // One request after the other, each by way of the event loop.
    const look = async () => {
      while (!isSwept) {
        left.add(await app.database.write(count))
        await new Promise(setImmediate)
      }
    }
    const looking = look()
    await app.sweep()
    isSwept = true
    await looking
    expect([...left]).toEqual(expect.arrayContaining([351, 251, 151]))
    expect(await app.database.read(count)).toBe(1)
    expect(await app.database.read((db) => db.$count(endedSessions))).toBe(0)
  },
)

test('a round of sweeping that the database refuses is no failure', async () => {
  const app = await createTestApp()
  await app.database.close()
  expect(await app.sweep()).toBeUndefined()
})

test.each([
  ['logout_all', 'mutation { logoutAll { sessions } }', {}],
  ['password_changed', CHANGE, { a: KIM.password, b: NEW_PASSWORD }],
  ['user_deleted', DELETE, { p: KIM.password }],
] as const)(
  'of a session that ended the database keeps when and why, but not whose it was: %s',
  async (reason, text, input) => {
    const app = await createTestApp()
    const { accessToken } = await signup(app)
    app.clock.advance('1m')
    await app.run(text, input, accessToken)
    const rows = await app.database.read((db) => db.select().from(endedSessions))
    const endedAt = app.clock.now()
    expect(rows).toEqual([{ sequence: 1, sessionId: toSessionId('ses_1'), reason, endedAt }])
  },
)

test('neither refresh tokens nor their secrets are in the database', async () => {
  const app = await createTestApp()
  const tokens = await signup(app)
  const next = await refreshed(app, tokens.refreshToken)
  const dump = JSON.stringify(await app.database.read((db) => db.all('SELECT * FROM sessions')))
  for (const token of [tokens, next])
    expect(dump).not.toContain(token.refreshToken.split('.')[2] ?? '')
})

test('each result is counted', async () => {
  const app = await createTestApp()
  const tokens = await signup(app)
  await refresh(app, tokens.refreshToken)
  await refresh(app, tokens.refreshToken)
  app.clock.advance('1m')
  await refresh(app, tokens.refreshToken)
  await refresh(app, 'garbage')
  const text = await app.metrics.print()
  const expected = ['success', 'repeated', 'reused', 'invalid'].map(
    (result) => `munjigi_refreshes_total{result="${result}"} 1`,
  )
  expect(
    [
      ...expected,
      'munjigi_sessions_ended_total{reason="reuse"} 1',
      'munjigi_refreshes_total{result="error"} 0',
    ].filter((series) => !text.includes(series)),
  ).toEqual([])
})

async function statements(app: TestApp, kind: 'read' | 'write'): Promise<number> {
  const series = `munjigi_database_statement_seconds_count{kind="${kind}"} `
  const line = (await app.metrics.print()).split('\n').find((text) => text.startsWith(series))
  return Number(line?.slice(series.length))
}
