// Whole stories, through HTTP: what a client sends, what it gets, and which security events operators see.

import { afterEach, describe, expect, jest, test } from 'bun:test'
import { setImmediate } from 'node:timers/promises'
import { createCore } from './app.ts'
import type { Services } from './flows/services.ts'
import { END_REASONS, SECURITY_EVENTS, THROTTLE_RULES } from './observability/events.ts'
import type {
  BreachCheckResult,
  LoginResult,
  OperationOutcome,
  RefreshResult,
  SignupResult,
  StaleReadResult,
  StatementKind,
} from './observability/metrics.ts'
import { decoyOf } from './passwords/hasher.ts'
import { createSchema } from './schema.ts'
import type { Database } from './storage/database.ts'
import type { TestApp } from './testing/app.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, ME, SIGNUP } from './testing/app.ts'
import { createTestLog } from './testing/log.ts'

afterEach(() => void jest.useRealTimers())

const CHANGE =
  'mutation($from: String!, $to: String!) { changePassword(currentPassword: $from, newPassword: $to) { accessToken } }'

describe('signup', () => {
  test('creates a user, logs in, and says so once', async () => {
    const app = await createTestApp()
    const { data, response } = await app.run(SIGNUP, KIM)
    expect(data.signup.user).toEqual({
      id: 'usr_1',
      email: KIM.email,
      createdAt: '2026-01-01T00:00:00.000Z',
    })
    expect(data.signup.tokens.expiresIn).toBe(600)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(app.events).toEqual([
      { type: 'user.signed_up', userId: 'usr_1', clientAddress: '192.0.2.1' },
    ])
  })

  test('refuses an address that is taken, however it is written', async () => {
    const app = await createTestApp()
    await app.run(SIGNUP, KIM)
    for (const email of [
      'kim@example.com',
      'KIM@Example.COM',
      '  kim@example.com ',
      'kim@ｅxample.com',
    ]) {
      const { code, data, errors } = await app.run(SIGNUP, { ...KIM, email })
      expect([email, code]).toEqual([email, 'EMAIL_TAKEN'])
      expect(data).toBeNull()
      expect(errors?.[0]?.extensions).toMatchObject({ field: 'email' })
    }
    expect(app.events).toHaveLength(1)
  })
})

describe('login', () => {
  test('gives a token that works', async () => {
    const app = await createTestApp()
    await app.run(SIGNUP, KIM)
    const { data } = await app.run(LOGIN, { ...KIM, email: 'Kim@EXAMPLE.com' })
    expect(data.login.__typename).toBe('LoggedIn')
    const me = await app.run(ME, {}, data.login.tokens.accessToken)
    expect(me.data.me).toEqual({ id: 'usr_1', email: KIM.email })
    expect(app.events.at(-1)).toEqual({
      type: 'login.succeeded',
      userId: 'usr_1',
      sessionId: 'ses_2',
      clientAddress: '192.0.2.1',
    })
  })

  test('with a valid token answers the text of the contract, whatever the arguments say', async () => {
    const app = await createTestApp()
    const { data } = await app.run(SIGNUP, KIM)
    const again = await app.run(LOGIN, { email: 'x', password: '' }, data.signup.tokens.accessToken)
    expect(again.data.login).toEqual({
      __typename: 'AlreadyLoggedIn',
      email: 'kim@example.com',
      message: '이미 kim@example.com로 로그인 하였습니다.',
    })
    expect(app.events.at(-1)).toMatchObject({ type: 'login.already_logged_in', userId: 'usr_1' })
  })

  test('with an expired token logs in', async () => {
    const app = await createTestApp()
    const { data } = await app.run(SIGNUP, KIM)
    app.clock.advance('16m')
    const again = await app.run(LOGIN, KIM, data.signup.tokens.accessToken)
    expect(again.data.login.__typename).toBe('LoggedIn')
  })
})

describe('a login that fails tells a stranger nothing', () => {
  test.each([
    ['an unknown e-mail', { ...KIM, email: 'lee@example.com' }, 1, 'unknown_user'],
    ['a wrong password', { ...KIM, password: 'wrong horse battery' }, 1, 'wrong_password'],
    ['a malformed e-mail', { ...KIM, email: 'kim' }, 0, 'malformed'],
    [
      'an e-mail of 300 characters',
      { ...KIM, email: `${'k'.repeat(300)}@example.com` },
      0,
      'malformed',
    ],
    ['a password of 1,025 characters', { ...KIM, password: 'x'.repeat(1_025) }, 0, 'malformed'],
    ['a password that is not well-formed', { ...KIM, password: 'correct \uD800' }, 0, 'malformed'],
    ['an empty password', { ...KIM, password: '' }, 0, 'malformed'],
    ['SQL', { ...KIM, password: "' OR 1=1 --" }, 1, 'wrong_password'],
  ])('%s: one answer', async (_, input, hashes, reason) => {
    const app = await createTestApp()
    await app.run(SIGNUP, KIM)
    const before = await hashCount(app)
    const { code, data, errors, response } = await app.run(LOGIN, input)
    expect({ code, data }).toEqual({ code: 'INVALID_CREDENTIALS', data: null })
    expect(errors?.map(({ message, extensions }) => [message, Object.keys(extensions)])).toEqual([
      ['이메일 또는 비밀번호가 올바르지 않습니다.', ['code', 'requestId']],
    ])
    expect(response.status).toBe(200)
    expect((await hashCount(app)) - before).toBe(hashes)
    const failed = app.events.filter((event) => event.type === 'login.failed')
    expect(failed.map((event) => event.reason as string)).toEqual(reason ? [reason] : [])
  })

  test.each([
    ['whose user is known names the user', KIM.email, 'wrong horse battery', ['userId']],
    ['of nobody has the digest', 'lee@example.com', KIM.password, ['emailDigest']],
    ['that cannot be right has neither', 'lee', KIM.password, []],
  ])('one %s, so that no log ties an e-mail to an id', async (_, email, password, names) => {
    const app = await createTestApp()
    await app.run(SIGNUP, KIM)
    await app.run(LOGIN, { email, password })
    const always = ['type', 'reason', 'clientAddress']
    expect(Object.keys(app.events.at(-1) ?? {}).sort()).toEqual([...always, ...names].sort())
  })

  test('the log tells repeated attempts on one e-mail apart from others, without the e-mail', async () => {
    const app = await createTestApp()
    for (const email of ['lee@example.com', 'LEE@example.com', 'park@example.com'])
      await app.run(LOGIN, { ...KIM, email })
    const digests = app.events.map((event) =>
      event.type === 'login.failed' ? event.emailDigest : '',
    )
    expect(digests[0]).toBe(digests[1] ?? '')
    expect(digests[0]).not.toBe(digests[2] ?? '')
    expect(app.logLines.join()).toContain(`"emailDigest":"${digests[0]}"`)
    expect(app.logLines.join()).not.toMatch(/lee|park/i)
  })
})

describe('input that is refused at signup', () => {
  test.each([
    ['an e-mail without a domain', { ...KIM, email: 'kim' }, 'INVALID_EMAIL', 'email', 'malformed'],
    [
      'an e-mail with a NUL',
      { ...KIM, email: 'kim\0@example.com' },
      'INVALID_EMAIL',
      'email',
      'malformed',
    ],
    [
      'an e-mail with a lone surrogate',
      { ...KIM, email: 'kim\uD800@example.com' },
      'INVALID_EMAIL',
      'email',
      'malformed',
    ],
    [
      'an e-mail with a second header',
      { ...KIM, email: 'kim@example.com\r\nBcc: lee@example.com' },
      'INVALID_EMAIL',
      'email',
      'malformed',
    ],
    [
      'an e-mail that is too long',
      { ...KIM, email: `${'k'.repeat(65)}@example.com` },
      'INVALID_EMAIL',
      'email',
      'too_long',
    ],
    ['a short password', { ...KIM, password: '1234567' }, 'WEAK_PASSWORD', 'password', 'too_short'],
    [
      'a long password',
      { ...KIM, password: 'x'.repeat(1_025) },
      'WEAK_PASSWORD',
      'password',
      'too_long',
    ],
    [
      'a password that is not well-formed',
      { ...KIM, password: 'correct \uD800' },
      'WEAK_PASSWORD',
      'password',
      'malformed',
    ],
  ])('%s', async (_, input, code, field, reason) => {
    const app = await createTestApp()
    const { data, errors } = await app.run(SIGNUP, input)
    expect(data).toBeNull()
    expect(errors?.map((error) => error.extensions)).toMatchObject([{ code, field, reason }])
    expect(app.events).toEqual([])
    expect((await app.run(SIGNUP, KIM)).data.signup.user.id).toBe('usr_1')
  })
})

test('a hundred signups of one address at once make one user', async () => {
  const app = await createTestApp({ config: { throttleSignupAttempts: 0 } })
  const spellings = ['kim@example.com', 'KIM@example.com', ' kim@EXAMPLE.com', 'kim@ｅxample.com']
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      app.run(SIGNUP, { ...KIM, email: spellings[i % spellings.length] }),
    ),
  )
  expect(answers.filter(({ data }) => data?.signup)).toHaveLength(1)
  const refused = answers.filter(({ code }) => code === 'EMAIL_TAKEN' || code === 'OVERLOADED')
  expect(refused).toHaveLength(99)
  expect(app.events.filter(({ type }) => type === 'user.signed_up')).toHaveLength(1)
})

test('more passwords at once than may wait are refused at once, and the others are served', async () => {
  // In memory: with a slower database the line would never fill up.
  const unthrottled = { throttleUserAttempts: 0, throttleAddressAttempts: 0 }
  const app = await createTestApp({ config: { databaseUrl: ':memory:', ...unthrottled } })
  const answers = await Promise.all(Array.from({ length: 300 }, () => app.run(LOGIN, KIM)))
  const codes = new Set(answers.map(({ code }) => code))
  expect(codes).toEqual(new Set(['INVALID_CREDENTIALS', 'OVERLOADED']))
  const refused = answers.filter(({ code }) => code === 'OVERLOADED')
  expect(refused[0]?.errors?.[0]?.extensions).toMatchObject({ retryAfter: 1 })
  expect(refused[0]?.response.headers.get('retry-after')).toBe('1')
  expect(app.events.filter((event) => event.type === 'hash.refused')).toHaveLength(refused.length)
  const metrics = await app.metrics.print()
  expect(metrics).toContain(`munjigi_logins_total{result="overloaded"} ${refused.length}\n`)
  expect(metrics).toContain(`munjigi_password_hash_refused_total{engine="bun"} ${refused.length}\n`)
  expect((await app.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
})

test('one network that floods the server with logins does not keep another one from logging in', async () => {
  const config = { databaseUrl: ':memory:', passwordHashConcurrency: 1 }
  const app = await createTestApp({ config })
  await app.run(SIGNUP, KIM)
  const flood = Array.from({ length: 100 }, (_, i) =>
    app.from(`2001:db8::${i + 1}`).run(LOGIN, { ...KIM, email: `lee${i}@example.com` }),
  )
  const login = app.from('198.51.100.7').run(LOGIN, KIM)
  expect((await login).data?.login?.user?.email).toBe(KIM.email)
  const codes = (await Promise.all(flood)).map(({ code }) => code)
  expect(new Set(codes)).toEqual(new Set(['INVALID_CREDENTIALS', 'OVERLOADED']))
}, 60_000)

test('what a request reads is read for its network', async () => {
  const { database } = await createTestApp()
  const callers: unknown[] = []
  const forRequest: Database['forRequest'] = (work, caller) => {
    callers.push(caller?.())
    return database.forRequest(work, caller)
  }
  const app = await createTestApp({ database: { ...database, forRequest } })
  for (const address of ['192.0.2.1', '2001:db8::1', '2001:db8::2']) await app.from(address).run(ME)
  expect(callers).toEqual(['192.0.2.1', '2001:db8:0:0::/64', '2001:db8:0:0::/64'])
})

test('a request that finds no room is refused before anything else of it is looked at', async () => {
  const app = await createTestApp({
    config: { passwordHashConcurrency: 1, throttleUserAttempts: 0, throttleAddressAttempts: 0 },
  })
  const { accessToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
  const slow = decoyOf({ memoryKib: 32_768, passes: 20 }, app.random)
  await app.database.write((db) => db.run(`UPDATE users SET password_hash = '${slow}'`))
  const nothingRight = async () => {
    const answers = [
      app.run(LOGIN, { email: 'no address', password: '' }),
      app.run(SIGNUP, { email: 'no address', password: 'weak' }),
      app.run(CHANGE, { from: 'wrong', to: 'weak' }, accessToken),
      app.run('mutation { deleteMe(password: "") { sessions } }', {}, accessToken),
    ]
    return (await Promise.all(answers)).map(({ code }) => code)
  }

  // One slow hash at work, and all the places in line taken by quick ones.
  const wrong = { email: KIM.email, password: 'wrong' }
  const atWork = app.run(LOGIN, wrong)
  await untilMetric(app, /^munjigi_password_hash_running\S* 1$/m)
  const crowd = Array.from({ length: 32 }, () =>
    app.run(LOGIN, { ...wrong, email: 'lee@example.com' }),
  )
  await untilMetric(app, /^munjigi_password_hash_waiting\S* 32$/m)
  expect(new Set(await nothingRight())).toEqual(new Set(['OVERLOADED']))
  expect(await app.metrics.print()).toContain('munjigi_signups_total{result="overloaded"} 1\n')
  const codes = (await Promise.all([atWork, ...crowd])).map(({ code }) => code)
  expect(new Set(codes)).toEqual(new Set(['INVALID_CREDENTIALS']))
  const known = ['INVALID_CREDENTIALS', 'INVALID_EMAIL', 'WEAK_PASSWORD', 'INVALID_CREDENTIALS']
  expect(await nothingRight()).toEqual(known)
}, 60_000)

/** Resolves when the metrics match; throws when they do not within ten thousand looks. */
async function untilMetric(app: TestApp, expected: RegExp): Promise<void> {
  for (let looks = 0; looks < 10_000; looks += 1) {
    if (expected.test(await app.metrics.print())) return
    await setImmediate()
  }
  throw new Error(`never seen: ${expected}`)
}

describe('me', () => {
  test('needs no statement for id and email, and reads the row for createdAt', async () => {
    const app = await createTestApp()
    const { data } = await app.run(SIGNUP, KIM)
    const token = data.signup.tokens.accessToken
    const statements = async () =>
      /munjigi_database_statement_seconds_count\{kind="read"\} (\d+)/.exec(
        await app.metrics.print(),
      )?.[1]
    const before = await statements()
    expect((await app.run('{ me { id email } }', {}, token)).data.me).toEqual({
      id: 'usr_1',
      email: KIM.email,
    })
    expect(await statements()).toBe(before)
    expect((await app.run('{ me { createdAt } }', {}, token)).data.me).toEqual({
      createdAt: '2026-01-01T00:00:00.000Z',
    })
    expect(await statements()).not.toBe(before)
  })

  test('with a token of a user who is gone knows nobody once the row is asked for', async () => {
    const [app, other] = [await createTestApp(), await createTestApp()]
    const { data } = await app.run(SIGNUP, KIM)
    expect((await other.run(ME, {}, data.signup.tokens.accessToken)).code).toBe('UNAUTHENTICATED')
  })
})

test('a token that a signing key signed last works until it expires, though another has taken over', async () => {
  const config = { jwksMaxAge: 1 }
  const app = await createTestApp({ config })
  const { log } = createTestLog()
  const core = await createCore({ ...app, log, report: () => {}, hashingCost: CHEAP_HASH })
  await core.keys.rotate()
  app.clock.advance('1s')
  const { accessToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
  app.clock.advance('599s')
  await core.keys.tend()
  expect(accessToken).not.toContain(btoa(core.keys.current().kid))
  const replica = await createTestApp({ config, database: app.database, clock: app.clock })
  expect((await replica.run(ME, {}, accessToken)).data?.me.email).toBe(KIM.email)
})

test('what an app does in the background ends when it is stopped', async () => {
  jest.useFakeTimers()
  // In memory: the way to a server has timers of its own.
  const app = await createTestApp({ config: { databaseUrl: ':memory:' } })
  const before = jest.getTimerCount()
  await app.start()
  expect(jest.getTimerCount()).toBe(before + 5)
  app.stop()
  expect(jest.getTimerCount()).toBe(before)
})

describe('what operators see', () => {
  /** As lists that the compiler holds against the types. */
  const every = <Value extends string>(values: Record<Value, true>) => Object.keys(values)
  const SIGNUPS = every<SignupResult>({
    ...{ success: true, email_taken: true, invalid_input: true },
    ...{ rate_limited: true, overloaded: true, left: true, error: true },
  })
  const LOGINS = every<LoginResult>({
    ...{ success: true, already_logged_in: true, invalid_credentials: true },
    ...{ rate_limited: true, overloaded: true, left: true, error: true },
  })
  const REFRESHES = every<RefreshResult>({
    ...{ success: true, repeated: true, reused: true },
    ...{ invalid: true, rate_limited: true, error: true },
  })
  const OUTCOMES = every<OperationOutcome>({ ok: true, refused: true, failed: true })
  const BREACH_CHECKS = every<BreachCheckResult>({ clean: true, breached: true, failed: true })
  const STALE_READS = every<StaleReadResult>({ answered: true, behind: true, away: true })
  const KINDS = every<StatementKind>({ read: true, write: true })

  /** Every field of Query and Mutation, as labels. */
  function rootFields(): string[] {
    const schema = createSchema({} as Services)
    return Object.entries({
      query: schema.getQueryType(),
      mutation: schema.getMutationType(),
    }).flatMap(([type, root]) =>
      Object.keys(root?.getFields() ?? {}).map((field) => `type="${type}",field="${field}"`),
    )
  }

  test('every label value of our series is there from the start, at 0', async () => {
    const text = await (await createTestApp()).metrics.print()
    const of = (series: string, label: string, values: readonly string[]) =>
      values.map((value) => `${series}{${label}="${value}"} 0`)
    const expected = [
      ...of('munjigi_signups_total', 'result', SIGNUPS),
      ...of('munjigi_logins_total', 'result', LOGINS),
      ...of('munjigi_refreshes_total', 'result', REFRESHES),
      ...of('munjigi_sessions_ended_total', 'reason', END_REASONS),
      ...of('munjigi_security_events_total', 'event', SECURITY_EVENTS),
      ...of('munjigi_throttle_refused_total', 'rule', THROTTLE_RULES),
      ...of('munjigi_password_breach_checks_total', 'result', BREACH_CHECKS),
      ...of('munjigi_database_stale_reads_total', 'result', STALE_READS),
      ...of('munjigi_database_retries_total', 'kind', KINDS),
      'munjigi_graphql_operation_seconds_bucket{le="1",type="query",field="me",outcome="ok"} 0',
      'munjigi_password_hash_seconds_count{engine="bun"} 0',
      'munjigi_password_hash_running{engine="bun"} 0',
      'munjigi_password_hash_waiting{engine="bun"} 0',
      'munjigi_password_hash_refused_total{engine="bun"} 0',
      'munjigi_thread_pool_delay_seconds_count 0',
      'munjigi_database_read_replica_age_seconds 0',
      'munjigi_signing_key_age_seconds 0',
      ...rootFields().flatMap((field) =>
        OUTCOMES.map(
          (outcome) => `munjigi_graphql_operation_seconds_count{${field},outcome="${outcome}"} 0`,
        ),
      ),
    ]
    expect(expected.filter((series) => !text.includes(`${series}\n`))).toEqual([])
  })

  test('the age of what has never been done yet is a number, the greatest there is', async () => {
    const text = await (await createTestApp()).metrics.print()
    for (const series of [
      'munjigi_database_write_age_seconds',
      'munjigi_ended_sessions_lag_seconds',
    ])
      expect(text).toContain(`${series} ${Number.MAX_SAFE_INTEGER}\n`)
  })

  test('the age of what was done lately is in seconds', async () => {
    const app = await createTestApp()
    await app.start()
    app.stop()
    app.clock.advance('2s')
    const text = await app.metrics.print()
    expect(text).toContain('munjigi_database_write_age_seconds 2\n')
    expect(text).toContain('munjigi_ended_sessions_lag_seconds 2\n')
  })

  test('each story is counted once, by its result', async () => {
    const app = await createTestApp()
    const { data } = await app.run(SIGNUP, KIM)
    await app.run(SIGNUP, KIM)
    await app.run(SIGNUP, { ...KIM, email: 'x' })
    await app.run(SIGNUP, { ...KIM, password: 'weak' })
    await app.run(LOGIN, KIM)
    await app.run(LOGIN, { ...KIM, password: 'wrong horse' })
    await app.run(LOGIN, KIM, data.signup.tokens.accessToken)
    const text = await app.metrics.print()
    const expected = [
      'munjigi_signups_total{result="success"} 1',
      'munjigi_signups_total{result="email_taken"} 1',
      'munjigi_signups_total{result="invalid_input"} 2',
      'munjigi_logins_total{result="success"} 1',
      'munjigi_logins_total{result="invalid_credentials"} 1',
      'munjigi_logins_total{result="already_logged_in"} 1',
      'munjigi_security_events_total{event="user.signed_up"} 1',
      'munjigi_graphql_operation_seconds_count{type="mutation",field="signup",outcome="ok"} 1',
      'munjigi_graphql_operation_seconds_count{type="mutation",field="signup",outcome="refused"} 3',
      'http_requests_total{method="POST",route="/graphql",status="200",ok="true"} 7',
    ]
    expect(expected.filter((series) => !text.includes(`${series}\n`))).toEqual([])
  })

  test('names that clients choose create no series', async () => {
    const app = await createTestApp()
    const series = async () => (await app.metrics.print()).split('\n').length
    await app.post({ query: 'query Zero { __typename }' })
    await app.fetch(new Request('http://munjigi.test/zero'), '')
    const before = await series()
    for (let i = 0; i < 50; i += 1) {
      await app.post({ query: `query Q${i} { a${i}: __typename }` }, { 'user-agent': `agent-${i}` })
      await app.fetch(new Request(`http://munjigi.test/path-${i}`), '')
    }
    expect(await series()).toBe(before)
  })
})

async function hashCount(app: { metrics: { print(): Promise<string> } }): Promise<number> {
  return Number(
    /munjigi_password_hash_seconds_count\{engine="bun"\} (\d+)/.exec(
      await app.metrics.print(),
    )?.[1],
  )
}
