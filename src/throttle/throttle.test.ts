// Throttles, through HTTP where it matters: how many guesses anybody has, that nobody is shut out by a stranger, and that
// refusals tell nothing.

import { describe, expect, test } from 'bun:test'
import { BlockList } from 'node:net'
import { sql } from 'drizzle-orm'
import type { Database } from '../storage/database.ts'
import type { Answer, TestApp, TestAppOptions, TestClient } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { createTestClock } from '../testing/clock.ts'
import { knownAddresses, throttles } from './table.ts'

const WRONG = { ...KIM, password: 'wrong horse battery' }
const NOBODY = { ...WRONG, email: 'lee@example.com' }
const OWNER = '192.0.2.1'
const STRANGER = '198.51.100.7'
const CHANGE =
  'mutation Change($old: String!) { changePassword(currentPassword: $old, newPassword: "another horse battery") { accessToken } }'
const DELETE = 'mutation Delete($old: String!) { deleteMe(password: $old) { sessions } }'

/** An app with a user, who signed up from the owner's address. */
async function appWithKim(config: TestAppOptions['config'] = {}) {
  const app = await createTestApp({ config })
  const { data } = await app.run(SIGNUP, KIM)
  return { app, stranger: app.from(STRANGER), token: data.signup.tokens.accessToken as string }
}

/** Tries `count` times, one after the other, and returns the codes of the answers. */
async function tries(client: TestClient, input: object, count: number): Promise<unknown[]> {
  const codes: unknown[] = []
  for (let i = 0; i < count; i += 1) codes.push((await client.run(LOGIN, { ...input })).code)
  return codes
}

async function hashes({ metrics }: TestApp): Promise<number> {
  const text = await metrics.print()
  return Number(/munjigi_password_hash_seconds_count\{engine="bun"\} (\d+)/.exec(text)?.[1])
}

const waitOf = ({ errors }: Answer) => Number(errors?.[0]?.extensions['retryAfter'])
const times = (count: number, code: string) => Array<string>(count).fill(code)
const signedIn = ({ data }: Answer) => data?.login?.__typename === 'LoggedIn'

describe('guesses at one user', () => {
  test('are refused after ten, before any hash, with the time to wait, whatever the password', async () => {
    const { app, stranger } = await appWithKim()
    expect(await tries(stranger, WRONG, 10)).toEqual(times(10, 'INVALID_CREDENTIALS'))
    const before = await hashes(app)
    for (const input of [WRONG, KIM]) {
      const refused = await stranger.run(LOGIN, input)
      expect([refused.code, waitOf(refused)]).toEqual(['RATE_LIMITED', 1])
      expect(refused.response.headers.get('retry-after')).toBe('1')
    }
    expect(await hashes(app)).toBe(before)
    expect(app.events.at(-1)).toEqual({
      type: 'throttle.refused',
      rule: 'user',
      retryAfter: 1,
      emailDigest: expect.stringMatching(/^[0-9a-f]{12}$/),
      clientAddress: STRANGER,
    })
    const text = await app.metrics.print()
    expect(text).toContain('munjigi_throttle_refused_total{rule="user"} 2\n')
    expect(text).toContain('munjigi_logins_total{result="rate_limited"} 2\n')
  })

  test('answer a client that understands statuses with 429', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 1 })
    await stranger.run(LOGIN, WRONG)
    const accept = { accept: 'application/graphql-response+json' }
    const response = await stranger.post({ query: LOGIN, variables: WRONG }, accept)
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '1'])
    expect((await response.json()) as object).not.toHaveProperty('data')
    expect(app.logLines.join()).not.toContain(KIM.email)
  })

  test('wait twice as long each time, up to the longest', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 3 })
    await tries(stranger, WRONG, 3)
    const waits: number[] = []
    for (let i = 0; i < 13; i += 1) {
      const wait = waitOf(await stranger.run(LOGIN, WRONG))
      waits.push(wait)
      app.clock.advance(`${wait}s`)
      expect((await stranger.run(LOGIN, WRONG)).code).toBe('INVALID_CREDENTIALS')
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900])
  })

  test('wait for the longest time however many they are', async () => {
    const { app, stranger } = await appWithKim({ throttleUserLimit: 1_000 })
    let wait = 0
    for (let i = 0; i < 100; i += 1) {
      await stranger.run(LOGIN, WRONG)
      wait = waitOf(await stranger.run(LOGIN, WRONG))
      app.clock.advance(`${wait || 1}s`)
    }
    expect(wait).toBe(900)
  })

  test.each([
    { throttleUserDelay: 600, throttleAddressInterval: 10 },
    { throttleUserDelay: 10, throttleAddressInterval: 600 },
  ])('are told the wait of the rule that makes them wait longest: %j', async (waits) => {
    const once = { throttleUserAttempts: 1, throttleAddressAttempts: 1 }
    const { stranger } = await appWithKim({ ...waits, ...once })
    await stranger.run(LOGIN, WRONG)
    expect(waitOf(await stranger.run(LOGIN, WRONG))).toBe(600)
  })

  test('are told whole seconds after which the next is allowed', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 1, throttleUserDelay: 2 })
    await stranger.run(LOGIN, WRONG)
    app.clock.advance('0.5s')
    expect(waitOf(await stranger.run(LOGIN, WRONG))).toBe(2)
  })

  test('begin anew with the right password', async () => {
    const { stranger } = await appWithKim()
    for (let round = 0; round < 3; round += 1) {
      expect(await tries(stranger, WRONG, 9)).toEqual(times(9, 'INVALID_CREDENTIALS'))
      expect(signedIn(await stranger.run(LOGIN, KIM))).toBe(true)
    }
  })

  test.each([
    ['login', LOGIN, {}],
    ['changePassword', CHANGE, { old: KIM.password }],
    ['deleteMe', DELETE, { old: KIM.password }],
  ])(
    'are none where the right password comes to nothing for the database: %s',
    async (_, query, input) => {
      const { app, token } = await appWithKim()
      let slow = true
      const commit: Database['commit'] = (statements) => {
        const outcomes = app.database.commit(statements)
        // What follows the charge comes too late, and then no time of the request is left.
        if (slow && !statements[0]?.sql.includes('throttles')) app.clock.advance('2s')
        return outcomes
      }
      const { database, clock } = app
      const replica = await createTestApp({ database: { ...database, commit }, clock })
      const send = async () =>
        (await replica.run(query, { ...KIM, ...input }, query === LOGIN ? undefined : token)).code
      const codes: unknown[] = []
      for (let i = 0; i < 25; i += 1) codes.push(await send())
      expect(codes).toEqual(times(25, 'SERVICE_UNAVAILABLE'))
      slow = false
      expect(await send()).toBeUndefined()
    },
  )

  test('begin anew a day after the last one, before anything is swept', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 2 })
    await tries(stranger, WRONG, 2)
    app.clock.advance('25h')
    const codes = [...times(2, 'INVALID_CREDENTIALS'), 'RATE_LIMITED']
    expect(await tries(stranger, WRONG, 3)).toEqual(codes)
  })

  test('are one budget, however the e-mail is written', async () => {
    const { stranger } = await appWithKim({ throttleUserAttempts: 5 })
    const spellings = ['KIM@Example.COM', '  kim@example.com ', 'kim@ｅxample.com']
    for (const email of [...spellings, ...spellings].slice(0, 5))
      await stranger.run(LOGIN, { ...WRONG, email })
    expect((await stranger.run(LOGIN, WRONG)).code).toBe('RATE_LIMITED')
  })

  test('with a valid token are one budget, whatever asks for the password and wherever', async () => {
    const { app, stranger, token } = await appWithKim({ throttleUserAttempts: 4 })
    const paths = [app, stranger].flatMap((client) =>
      [CHANGE, DELETE].map((query) => () => client.run(query, { old: WRONG.password }, token)),
    )
    for (const path of paths) expect((await path()).code).toBe('INVALID_CREDENTIALS')
    const before = await hashes(app)
    for (const path of paths) expect((await path()).code).toBe('RATE_LIMITED')
    expect(await hashes(app)).toBe(before)
    expect(app.events.at(-1)).toMatchObject({ rule: 'known_address', clientAddress: STRANGER })
  })

  test('that cannot be right cost nothing, and neither does a login with a token', async () => {
    const { app, token } = await appWithKim({ throttleUserAttempts: 2 })
    await tries(app, { ...KIM, password: 'x'.repeat(1_025) }, 5)
    await app.run(CHANGE, { old: '' }, token)
    for (let i = 0; i < 5; i += 1) await app.run(LOGIN, WRONG, token)
    expect(await tries(app, WRONG, 3)).toEqual([...times(2, 'INVALID_CREDENTIALS'), 'RATE_LIMITED'])
  })

  test('are not limited where the setting says so', async () => {
    const { stranger } = await appWithKim({ throttleUserAttempts: 0 })
    expect(new Set(await tries(stranger, WRONG, 30))).toEqual(new Set(['INVALID_CREDENTIALS']))
  })

  test('are not even counted where nothing is limited', async () => {
    const off = { throttleUserAttempts: 0, throttleAddressAttempts: 0, throttleSignupAttempts: 0 }
    const { app, stranger } = await appWithKim(off)
    await tries(stranger, WRONG, 3)
    expect(signedIn(await stranger.run(LOGIN, KIM))).toBe(true)
    const twice = `a: refresh(refreshToken: "x") { expiresIn } b: refresh(refreshToken: "x") { expiresIn }`
    expect((await stranger.run(`mutation { ${twice} }`)).code).toBe('QUERY_TOO_COMPLEX')
    for (const table of [throttles, knownAddresses])
      expect(await app.database.read((db) => db.$count(table))).toBe(0)
    expect(app.logLines.filter((line) => line.includes('database.fault'))).toEqual([])
  })
})

describe('a race for the last guesses', () => {
  test.each([
    ['login', LOGIN],
    ['deleteMe', DELETE],
  ])('a hundred at once: no more hashes than the budget, on two replicas: %s', async (_, query) => {
    const { app, token } = await appWithKim()
    const replica = await createTestApp({ database: app.database, clock: app.clock })
    const guess = async (client: TestClient) =>
      query === LOGIN
        ? (await client.run(LOGIN, WRONG)).code
        : (await client.run(query, { old: WRONG.password }, token)).code
    const [one, other] = [app.from(STRANGER), replica.from(STRANGER)]
    for (let i = 0; i < 7; i += 1) expect(await guess(one)).toBe('INVALID_CREDENTIALS')
    const before = (await hashes(app)) + (await hashes(replica))
    const codes = await Promise.all(
      Array.from({ length: 100 }, (_, i) => guess(i % 2 ? one : other)),
    )
    expect((await hashes(app)) + (await hashes(replica)) - before).toBe(3)
    expect(codes.filter((code) => code === 'INVALID_CREDENTIALS')).toHaveLength(3)
  })
})

describe('a stranger cannot shut a user out', () => {
  test('the owner gets in from where the owner has been, while the budget of strangers is burnt', async () => {
    const { app, stranger } = await appWithKim()
    for (let i = 0; i < 5; i += 1) {
      await tries(stranger, WRONG, 12)
      expect(signedIn(await app.from(OWNER).run(LOGIN, KIM))).toBe(true)
      app.clock.advance('15m')
    }
  })

  test('from a new address the owner gets in when the time to wait is over', async () => {
    const { app, stranger } = await appWithKim()
    await tries(stranger, WRONG, 11)
    const elsewhere = app.from('203.0.113.9')
    const refused = await elsewhere.run(LOGIN, KIM)
    expect(refused.code).toBe('RATE_LIMITED')
    app.clock.advance(`${waitOf(refused)}s`)
    expect(signedIn(await elsewhere.run(LOGIN, KIM))).toBe(true)
    // And from now on that address is known.
    await tries(stranger, WRONG, 11)
    expect(signedIn(await elsewhere.run(LOGIN, KIM))).toBe(true)
  })

  test('who is logged in changes the password from a new address, while the budgets of logins are burnt', async () => {
    const { app, stranger, token } = await appWithKim()
    for (const client of [stranger, app]) await tries(client, WRONG, 11)
    const elsewhere = app.from('203.0.113.9')
    expect((await elsewhere.run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
    expect((await elsewhere.run(CHANGE, { old: KIM.password }, token)).code).toBeUndefined()
  })

  test('guesses with a stolen token cost no login anything, and a login ends their wait', async () => {
    const { app, stranger, token } = await appWithKim()
    const change = (old: string) => stranger.run(CHANGE, { old }, token)
    for (let i = 0; i < 10; i += 1)
      expect((await change(WRONG.password)).code).toBe('INVALID_CREDENTIALS')
    expect((await change(KIM.password)).code).toBe('RATE_LIMITED')
    for (const client of [stranger, app]) {
      expect(await tries(client, WRONG, 9)).toEqual(times(9, 'INVALID_CREDENTIALS'))
      expect(signedIn(await client.run(LOGIN, KIM))).toBe(true)
    }
    expect((await app.run(CHANGE, { old: KIM.password }, token)).code).toBeUndefined()
  })

  test('an address of the owner has a budget too', async () => {
    const { app } = await appWithKim()
    const codes = await tries(app, WRONG, 11)
    expect(codes).toEqual([...times(10, 'INVALID_CREDENTIALS'), 'RATE_LIMITED'])
    expect(app.events.at(-1)).toMatchObject({ rule: 'known_address' })
    expect(await tries(app.from(STRANGER), WRONG, 1)).toEqual(['INVALID_CREDENTIALS'])
  })

  test('an address is the owner’s for ninety days, and of twenty the last used', async () => {
    const { app, stranger } = await appWithKim()
    app.clock.advance('89d')
    await tries(stranger, WRONG, 11)
    expect(signedIn(await app.run(LOGIN, KIM))).toBe(true)
    app.clock.advance('91d')
    await tries(stranger, WRONG, 11)
    expect((await app.run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
    app.clock.advance('1d')
    for (let i = 1; i <= 21; i += 1) {
      app.clock.advance('1s')
      await app.from(`203.0.113.${i}`).run(LOGIN, KIM)
    }
    await tries(stranger, WRONG, 11)
    expect((await app.from('203.0.113.1').run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
    expect(signedIn(await app.from('203.0.113.2').run(LOGIN, KIM))).toBe(true)
  })
})

describe('where a user has logged in from is forgotten', () => {
  test.each([
    ['where', OWNER, OWNER],
    ['the /64 in which', '2001:db8::1', '2001:db8::2'],
  ])(
    'with a new password, but for %s the user is: the others may be a thief’s',
    async (_, here, next) => {
      const { app, token } = await appWithKim()
      await app.from('203.0.113.9').run(LOGIN, KIM)
      await app.from(here).run(CHANGE, { old: KIM.password }, token)
      await tries(app.from(STRANGER), WRONG, 11)
      expect((await app.from('203.0.113.9').run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
      const changed = { ...KIM, password: 'another horse battery' }
      expect(signedIn(await app.from(next).run(LOGIN, changed))).toBe(true)
    },
  )

  test('with the user', async () => {
    const { app, token } = await appWithKim()
    await app.run(DELETE, { old: KIM.password }, token)
    await tries(app.from(STRANGER), WRONG, 11)
    expect((await app.from(OWNER).run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
  })
})

describe('a right password that is changed before its request ends', () => {
  test.each([
    ['a new password', CHANGE, 1],
    ['the end of the user', DELETE, 0],
  ])('does not make its address known: %s', async (_, mutation, known) => {
    const { app, token } = await appWithKim()
    let writes = 0
    const database: Database = {
      ...app.database,
      async commit(statements) {
        writes += 1
        // The first charged the attempt; the second opens the session.
        if (writes === 2) await app.run(mutation, { old: KIM.password }, token)
        return await app.database.commit(statements)
      },
    }
    const thief = (await createTestApp({ database, clock: app.clock })).from(STRANGER)
    expect((await thief.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
    const rows = await app.database.read((db) => db.all(sql`SELECT * FROM known_addresses`))
    expect(rows).toHaveLength(known)
  })

  test('forgets no address either, when its request was to change the password', async () => {
    const { app, token } = await appWithKim()
    const addresses = () => app.database.read((db) => db.select().from(knownAddresses))
    const owners = await addresses()
    const database: Database = {
      ...app.database,
      async commit(statements) {
        if (statements[0]?.sql.startsWith('UPDATE users'))
          await app.run(CHANGE, { old: KIM.password }, token)
        return await app.database.commit(statements)
      },
    }
    const thief = (await createTestApp({ database, clock: app.clock })).from(STRANGER)
    expect((await thief.run(CHANGE, { old: KIM.password }, token)).code).toBe('INVALID_CREDENTIALS')
    expect(await addresses()).toEqual(owners)
  })
})

test('a hundred wrong passwords in a row are the end, from wherever, over restarts, for a day', async () => {
  const config = { throttleUserMaxDelay: 60, accessTokenTtl: 86_400 }
  const { app, token } = await appWithKim(config)
  const { database, clock } = app
  let computed = 0
  let last: unknown
  for (let restart = 0; restart < 5; restart += 1) {
    const replica = await createTestApp({ database, clock, config })
    for (let i = 0; i < 23; i += 1) {
      const client = replica.from(i % 5 ? `198.51.100.${restart * 23 + i}` : OWNER)
      const guess =
        i % 5 === 1 ? client.run(CHANGE, { old: WRONG.password }, token) : client.run(LOGIN, WRONG)
      last = (await guess).code
      clock.advance('60s')
    }
    computed += await hashes(replica)
  }
  expect([computed, last]).toEqual([100, 'RATE_LIMITED'])
  clock.advance('24h')
  expect(signedIn(await app.from(STRANGER).run(LOGIN, KIM))).toBe(true)
}, 60_000)

describe('known and unknown e-mails', () => {
  test('are refused at the same attempt, identically', async () => {
    const { stranger } = await appWithKim({ throttleUserAttempts: 4 })
    const seen = async (input: object) => {
      const answers = []
      for (let i = 0; i < 7; i += 1) {
        const accept = { accept: i % 2 ? 'application/graphql-response+json' : '*/*' }
        const response = await stranger.post({ query: LOGIN, variables: input }, accept)
        const text = (await response.text()).replace(/req_\d+/g, 'req_N')
        const headers = [...response.headers].filter(([name]) => name !== 'x-request-id')
        answers.push({ status: response.status, text, headers })
      }
      return answers
    }
    const known = await seen(WRONG)
    expect(known.map(({ text }) => /"code":"(\w+)"/.exec(text)?.[1])).toEqual([
      ...times(4, 'INVALID_CREDENTIALS'),
      ...times(3, 'RATE_LIMITED'),
    ])
    expect(await seen(NOBODY)).toEqual(known)
  })

  test('cost one hash each and one statement that charges', async () => {
    const { app, stranger } = await appWithKim()
    const written = async () =>
      Number(
        /munjigi_database_statement_seconds_count\{kind="write"\} (\d+)/.exec(
          await app.metrics.print(),
        )?.[1],
      )
    for (const input of [WRONG, NOBODY]) {
      const before = [await hashes(app), await written()]
      await stranger.run(LOGIN, input)
      expect([await hashes(app), await written()]).toEqual(before.map((count) => count + 1))
    }
  })
})

describe('guesses from one address', () => {
  const config = { throttleAddressAttempts: 6, throttleAddressInterval: 10 }
  const nobody = (i: number) => ({ ...WRONG, email: `nobody-${i}@example.com` })

  test('at many users are refused after their number, then allowed one each interval', async () => {
    const { app } = await appWithKim(config)
    const codes: unknown[] = []
    for (let i = 0; i < 7; i += 1) codes.push((await app.from(STRANGER).run(LOGIN, nobody(i))).code)
    expect(codes).toEqual([...times(6, 'INVALID_CREDENTIALS'), 'RATE_LIMITED'])
    expect(app.events.at(-1)).toMatchObject({ rule: 'address', retryAfter: 10 })
    app.clock.advance('10s')
    const next = [nobody(8), nobody(9)]
    for (const input of next) codes.push((await app.from(STRANGER).run(LOGIN, input)).code)
    expect(codes.slice(7)).toEqual(['INVALID_CREDENTIALS', 'RATE_LIMITED'])
    expect((await app.from('198.51.100.8').run(LOGIN, nobody(10))).code).toBe('INVALID_CREDENTIALS')
  })

  test('count by the /64 for IPv6', async () => {
    const { app } = await appWithKim(config)
    for (let i = 0; i < 6; i += 1) await app.from(`2001:db8::${i}`).run(LOGIN, nobody(i))
    expect((await app.from('2001:db8::ffff:7').run(LOGIN, nobody(7))).code).toBe('RATE_LIMITED')
    expect((await app.from('2001:db8:0:1::7').run(LOGIN, nobody(7))).code).toBe(
      'INVALID_CREDENTIALS',
    )
  })

  test('right passwords are free: an office behind one address logs in all morning', async () => {
    const { app } = await appWithKim(config)
    for (let i = 0; i < 30; i += 1) expect(signedIn(await app.run(LOGIN, KIM))).toBe(true)
    await tries(app, NOBODY, 5)
    for (let i = 0; i < 10; i += 1) await app.run(LOGIN, KIM)
    // One’s own logins win nothing back that others have cost.
    expect(await tries(app, NOBODY, 2)).toEqual(['INVALID_CREDENTIALS', 'RATE_LIMITED'])
  })

  test('right passwords are free where guesses at one user are not limited, too', async () => {
    const { app } = await appWithKim({ ...config, throttleUserAttempts: 0 })
    for (let i = 0; i < 8; i += 1) expect(signedIn(await app.run(LOGIN, KIM))).toBe(true)
  })

  test('right passwords are free where they change something, too', async () => {
    const { app, token } = await appWithKim({ ...config, throttleSignupAttempts: 0 })
    const change =
      'mutation ($from: String!, $to: String!) { changePassword(currentPassword: $from, newPassword: $to) { accessToken } }'
    const passwords = [KIM.password, 'another horse battery']
    let mine = token
    for (let i = 0; i < 8; i += 1) {
      const [from, to] = i % 2 === 0 ? passwords : passwords.toReversed()
      mine = (await app.run(change, { from, to }, mine)).data.changePassword.accessToken
    }
    for (let i = 0; i < 8; i += 1) {
      const { data } = await app.run(SIGNUP, { ...KIM, email: `${i}@example.com` })
      const { accessToken } = data.signup.tokens
      expect((await app.run(DELETE, { old: KIM.password }, accessToken)).code).toBeUndefined()
    }
    const codes = await tries(app, NOBODY, 7)
    expect(codes).toEqual([...times(6, 'INVALID_CREDENTIALS'), 'RATE_LIMITED'])
  })

  test('by the dozen in one request check none, and count as one attempt', async () => {
    const { app } = await appWithKim(config)
    const stranger = app.from(STRANGER)
    const field = `login(email: "${KIM.email}", password: "${KIM.password}") { __typename }`
    const floods = [
      `mutation { a: ${field} b: ${field} }`,
      `mutation { ...F b: ${field} } fragment F on Mutation { ... { a: ${field} } }`,
      `mutation { a: ${field} b: refresh(refreshToken: "x") { expiresIn } }`,
    ]
    const before = await hashes(app)
    for (const query of [...floods, ...floods]) {
      const { errors } = await stranger.run(query)
      expect(errors?.map(({ extensions }) => extensions)).toMatchObject([
        { code: 'QUERY_TOO_COMPLEX', limit: 'credentialFields' },
      ])
    }
    expect((await stranger.run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
    expect((await stranger.run(floods[0] ?? '')).code).toBe('QUERY_TOO_COMPLEX')
    expect(await hashes(app)).toBe(before)
  })

  test('by the dozen count by the /64, too, and cost no statement once they are refused', async () => {
    const { app } = await appWithKim(config)
    const twice = `a: refresh(refreshToken: "x") { expiresIn } b: refresh(refreshToken: "x") { expiresIn }`
    const flood = (i: number) => app.from(`2001:db8::${i}`).run(`mutation { ${twice} }`)
    for (let i = 0; i < 6; i += 1) await flood(i)
    expect((await app.from('2001:db8::7').run(LOGIN, KIM)).code).toBe('RATE_LIMITED')
    const before = await statements(app)
    for (let i = 8; i < 12; i += 1) await flood(i)
    expect(await statements(app)).toBe(before)
  })

  test('cannot come from an address that the client makes up', async () => {
    const { app } = await appWithKim(config)
    const headers = [
      'x-forwarded-for',
      'x-real-ip',
      'forwarded',
      'true-client-ip',
      'x-envoy-external-address',
      'x-client-ip',
    ]
    const before = await hashes(app)
    for (let i = 0; i < 1_000; i += 1) {
      const name = headers[i % headers.length] ?? ''
      const value = `203.0.113.${i % 250}, 10.0.0.${i % 250}`
      const body = { query: LOGIN, variables: nobody(i) }
      await app.from(STRANGER).post(body, { [name]: i % 2 ? value : `203.0.113.${i % 250}` })
    }
    expect((await hashes(app)) - before).toBe(6)
  }, 60_000)

  test('are counted by the address that the edge reports, and only the edge', async () => {
    const trustedPeers = new BlockList()
    trustedPeers.addAddress('10.0.0.1')
    const clientAddressHeader = 'x-envoy-external-address'
    const { app } = await appWithKim({ ...config, trustedPeers, clientAddressHeader })
    const guess = async (peer: string, reported: string, i: number) => {
      const body = { query: LOGIN, variables: nobody(i) }
      const response = await app.from(peer).post(body, { [clientAddressHeader]: reported })
      return /"code":"(\w+)"/.exec(await response.text())?.[1]
    }
    for (let i = 0; i < 6; i += 1) await guess('10.0.0.1', '203.0.113.1', i)
    expect(await guess('10.0.0.1', '203.0.113.1', 7)).toBe('RATE_LIMITED')
    expect(await guess('10.0.0.1', '203.0.113.2', 7)).toBe('INVALID_CREDENTIALS')
    for (let i = 0; i < 6; i += 1) await guess('10.0.0.2', `203.0.113.${i + 10}`, i + 20)
    expect(await guess('10.0.0.2', '203.0.113.99', 8)).toBe('RATE_LIMITED')
  })
})

describe('signups', () => {
  const config = { throttleSignupAttempts: 3, throttleSignupInterval: 60 }
  const newcomer = (i: number) => ({ ...KIM, email: `newcomer-${i}@example.com` })

  test('from one address are refused after their number, also those that fail, before any hash', async () => {
    const { app } = await appWithKim(config)
    expect((await app.run(SIGNUP, KIM)).code).toBe('EMAIL_TAKEN')
    expect((await app.run(SIGNUP, newcomer(1))).code).toBeUndefined()
    const before = await hashes(app)
    const refused = await app.run(SIGNUP, newcomer(2))
    expect([refused.code, waitOf(refused)]).toEqual(['RATE_LIMITED', 60])
    expect(app.events.at(-1)).toMatchObject({ type: 'throttle.refused', rule: 'signup' })
    expect(await app.metrics.print()).toContain('munjigi_signups_total{result="rate_limited"} 1\n')
    expect(await hashes(app)).toBe(before)
    expect((await app.from(STRANGER).run(SIGNUP, newcomer(2))).code).toBeUndefined()
    app.clock.advance('60s')
    expect((await app.run(SIGNUP, newcomer(3))).code).toBeUndefined()
  })

  test('that are malformed cost nothing', async () => {
    const app = await createTestApp({ config })
    for (let i = 0; i < 5; i += 1) await app.run(SIGNUP, { ...KIM, password: 'short' })
    expect((await app.run(SIGNUP, KIM)).code).toBeUndefined()
  })

  test('at once are as many as the setting says, be it the most of the longest interval', async () => {
    const most = { throttleSignupAttempts: 1_000_000, throttleSignupInterval: 86_400 }
    const app = await createTestApp({ config: most })
    expect((await app.run(SIGNUP, newcomer(1))).code).toBeUndefined()
    const another = sql`UPDATE throttles SET next_at = next_at + ${999_998 * 86_400_000} WHERE key LIKE 'signup:%'`
    await app.database.write((db) => db.run(another))
    expect((await app.run(SIGNUP, newcomer(2))).code).toBeUndefined()
    expect((await app.run(SIGNUP, newcomer(3))).code).toBe('RATE_LIMITED')
  })

  test('are forgotten with the last of their intervals, however many may come at once', async () => {
    const most = { throttleSignupAttempts: 1_000_000, throttleSignupInterval: 86_400 }
    const app = await createTestApp({ config: most })
    await app.run(SIGNUP, newcomer(1))
    app.clock.advance('1d')
    await app.sweep()
    expect(await app.database.read((db) => db.$count(throttles))).toBe(0)
  })

  test('a hundred at once: no more hashes than the budget', async () => {
    const app = await createTestApp({ config })
    await Promise.all(Array.from({ length: 100 }, (_, i) => app.run(SIGNUP, newcomer(i))))
    expect(await hashes(app)).toBe(3)
  })
})

describe('what is refused costs little', () => {
  test('within a second no statement, then one look at the database', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 1 })
    await tries(stranger, WRONG, 2)
    const before = await statements(app)
    expect(await tries(stranger, WRONG, 50)).toEqual(times(50, 'RATE_LIMITED'))
    expect(await statements(app)).toBe(before)
    app.clock.advance('1s')
    expect(await tries(stranger, WRONG, 1)).toEqual(['INVALID_CREDENTIALS'])
    expect(await statements(app)).toBe(before + 1)
  })

  test('a login goes to the database twice: before the hash, and with its session', async () => {
    const { app } = await appWithKim()
    for (const address of [OWNER, STRANGER, STRANGER]) {
      const before = await statements(app)
      expect(signedIn(await app.from(address).run(LOGIN, KIM))).toBe(true)
      expect((await statements(app)) - before).toBe(2)
    }
  })

  test('an address in use is written anew once an hour', async () => {
    const { app } = await appWithKim()
    const until = () => app.database.read((db) => db.select().from(knownAddresses))
    const atFirst = await until()
    app.clock.advance('59m')
    await app.run(LOGIN, KIM)
    expect(await until()).toEqual(atFirst)
    app.clock.advance('2m')
    await app.run(LOGIN, KIM)
    expect(await until()).not.toEqual(atFirst)
  })

  test('what another replica has forgiven is not held against anybody for more than a second', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 5, throttleUserDelay: 600 })
    const replica = await createTestApp({ database: app.database, clock: app.clock })
    await tries(stranger, WRONG, 6)
    expect(signedIn(await replica.from(OWNER).run(LOGIN, KIM))).toBe(true)
    app.clock.advance('1s')
    expect(signedIn(await stranger.run(LOGIN, KIM))).toBe(true)
  })

  test('a refusal is remembered no longer than it lasts', async () => {
    const { app, stranger } = await appWithKim({ throttleUserAttempts: 1 })
    await tries(stranger, WRONG, 1)
    app.clock.advance('0.5s')
    expect(await tries(stranger, WRONG, 1)).toEqual(['RATE_LIMITED'])
    app.clock.advance('0.5s')
    expect(await tries(stranger, WRONG, 1)).toEqual(['INVALID_CREDENTIALS'])
  })

  test('an attempt that finds no room at the gate is not charged', async () => {
    const config = { passwordHashConcurrency: 1, throttleUserAttempts: 100 }
    const { app, stranger } = await appWithKim(config)
    const answers = await Promise.all(Array.from({ length: 50 }, () => stranger.run(LOGIN, WRONG)))
    const checked = answers.filter(({ code }) => code === 'INVALID_CREDENTIALS')
    expect(checked.length).toBeLessThan(50)
    const [counted] = await app.database.read((db) =>
      db.all<{ count: number }>(sql`SELECT count FROM throttles WHERE key LIKE 'user:%'`),
    )
    expect(counted?.count).toBe(checked.length)
  })

  test.each([
    ['a known address', OWNER, 'known_address', '0s'],
    ['one that was known once', OWNER, 'user', '91d'],
    ['a new one', '203.0.113.9', 'user', '0s'],
  ] as const)(
    'an attempt from %s that has to yield its place to another network is not held against the user',
    async (_, address, rule, later) => {
      const { app } = await appWithKim({ passwordHashConcurrency: 1, throttleUserAttempts: 1 })
      const here = app.from(address)
      app.clock.advance(later)
      const colleagues = Array.from({ length: 32 }, (_, i) =>
        here.run(LOGIN, { ...WRONG, email: `lee${i}@example.com` }),
      )
      const kim = here.run(LOGIN, KIM)
      const other = app.from(STRANGER).run(LOGIN, NOBODY)
      expect([(await kim).code, (await other).code]).toEqual(['OVERLOADED', 'INVALID_CREDENTIALS'])
      await Promise.all(colleagues)
      const counts = await app.database.read((db) =>
        db.all<{ key: string; count: number }>(sql`SELECT key, count FROM throttles`),
      )
      const ofRule = (name: string) => counts.filter(({ key }) => key.startsWith(`${name}:`))
      expect(ofRule(rule).filter(({ count }) => count === 0)).toHaveLength(1)
      // The address has paid for it.
      expect(ofRule('address').map(({ count }) => count)).toContain(33)
      expect(signedIn(await here.run(LOGIN, KIM))).toBe(true)
    },
  )

  test('no hash is computed for clients that leave the line, and only their address pays', async () => {
    const budget = { throttleUserAttempts: 10, throttleAddressAttempts: 12 }
    const { app, stranger } = await appWithKim({ passwordHashConcurrency: 1, ...budget })
    const clients = Array.from({ length: 10 }, () => new AbortController())
    const body = { query: LOGIN, variables: WRONG }
    const answers = clients.map(({ signal }) => stranger.post(body, {}, signal))
    for (const client of clients) client.abort()
    await Promise.all(answers)
    expect(await hashes(app)).toBe(1)
    const counts = await app.metrics.print()
    expect(counts).toContain('munjigi_logins_total{result="left"} 10\n')
    expect(counts).toContain('munjigi_logins_total{result="overloaded"} 0\n')
    expect(counts).toContain(
      'munjigi_graphql_operation_seconds_count{type="mutation",field="login",outcome="failed"} 0\n',
    )
    const codes = ['INVALID_CREDENTIALS', 'INVALID_CREDENTIALS', 'RATE_LIMITED']
    expect(await tries(stranger, WRONG, 3)).toEqual(codes)
  })

  test('a signup whose client leaves the line computes no hash either, and is counted as left', async () => {
    const { app, stranger } = await appWithKim()
    const client = new AbortController()
    const answer = stranger.post({ query: SIGNUP, variables: NOBODY }, {}, client.signal)
    client.abort()
    await answer
    expect(await hashes(app)).toBe(1)
    expect(await app.metrics.print()).toContain('munjigi_signups_total{result="left"} 1\n')
    expect((await stranger.run(SIGNUP, NOBODY)).code).toBeUndefined()
  })

  test('a client with a token that leaves the line keeps the attempt, too', async () => {
    const { app, token } = await appWithKim({ throttleUserAttempts: 1 })
    const client = new AbortController()
    const database: Database = {
      ...app.database,
      async commit(statements) {
        const results = await app.database.commit(statements)
        client.abort()
        return results
      },
    }
    const replica = (await createTestApp({ database, clock: app.clock })).from(STRANGER)
    const body = { query: CHANGE, variables: { old: KIM.password } }
    await replica.post(body, { authorization: `Bearer ${token}` }, client.signal)
    const left = sql`SELECT count FROM throttles WHERE key LIKE 'reauthentication:%'`
    expect(await app.database.read((db) => db.get<object>(left))).toMatchObject({ count: 0 })
    expect((await app.run(CHANGE, { old: KIM.password }, token)).code).toBeUndefined()
  })
})

test('a replica whose clock is ahead takes no attempt from those of another', async () => {
  const { app } = await appWithKim()
  const clock = createTestClock()
  clock.advance('5s')
  const ahead = await createTestApp({ database: app.database, clock })
  expect(await tries(ahead.from(STRANGER), WRONG, 9)).toEqual(times(9, 'INVALID_CREDENTIALS'))
  expect(signedIn(await app.from(STRANGER).run(LOGIN, KIM))).toBe(true)
})

test('what a replica has counted whose clock is minutes ahead is not forgotten by another', async () => {
  const config = { throttleAddressAttempts: 1 }
  const { app } = await appWithKim(config)
  const clock = createTestClock()
  clock.advance('5m')
  const ahead = await createTestApp({ config, database: app.database, clock })
  expect(await tries(ahead.from(STRANGER), WRONG, 1)).toEqual(['INVALID_CREDENTIALS'])
  expect(await tries(app.from(STRANGER), WRONG, 1)).toEqual(['RATE_LIMITED'])
})

test('what was counted while a clock was an hour ahead shuts nobody out when it is right again', async () => {
  const { app } = await appWithKim()
  const clock = createTestClock()
  clock.advance('1h')
  const ahead = await createTestApp({ database: app.database, clock })
  const [then, now] = [ahead.from(STRANGER), app.from(STRANGER)]
  expect(signedIn(await then.run(LOGIN, KIM))).toBe(true)
  expect((await then.run(SIGNUP, NOBODY)).code).toBeUndefined()

  expect(signedIn(await now.run(LOGIN, KIM))).toBe(true)
  expect((await now.run(SIGNUP, { ...NOBODY, email: 'choi@example.com' })).code).toBeUndefined()
})

describe('what is kept', () => {
  test('names nobody, and goes when it no longer counts', async () => {
    const { app, stranger } = await appWithKim()
    await tries(stranger, WRONG, 3)
    await tries(stranger, NOBODY, 3)
    const rows = () =>
      app.database.read((db) =>
        db.all<{ key: string }>(
          sql`SELECT key FROM throttles UNION ALL SELECT user || address FROM known_addresses`,
        ),
      )
    expect(JSON.stringify(await rows())).not.toMatch(/kim|lee|example|198\.51|192\.0/)
    expect(
      (await rows())
        .map(({ key }) => key.split(':')[0])
        .sort()
        .slice(1),
    ).toEqual(['address', 'signup', 'user', 'user'])
    app.clock.advance('25h')
    await app.sweep()
    expect(await rows()).toHaveLength(1)
    app.clock.advance('90d')
    await app.sweep()
    expect(await rows()).toHaveLength(0)
  })

  test('goes in one round, however much of it', async () => {
    const app = await createTestApp()
    const rows = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)'
    await app.database.write(({ $client }) =>
      $client.batch(
        [
          `${rows} INSERT INTO throttles SELECT 'user:' || i, 1, 0, 0 FROM n WHERE i < 10`,
          `${rows} INSERT INTO known_addresses SELECT i, i, 0 FROM n`,
        ],
        'write',
      ),
    )
    await app.sweep()
    for (const table of [throttles, knownAddresses])
      expect(await app.database.read((db) => db.$count(table))).toBe(0)
  })

  test('is bounded: of 100,250 counts those of one attempt go first, and all else goes on in between', async () => {
    const app = await createTestApp()
    const expiresAt = app.clock.now() + 3_600_000
    await app.database.write((db) =>
      db.run(sql`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100250)
        INSERT INTO throttles SELECT 'user:' || i, 1 + (i <= 60000), 0, ${expiresAt} FROM n`),
    )
    let turns = 0
    const others = setInterval(() => (turns += 1), 1)
    await app.sweep()
    clearInterval(others)
    expect(turns).toBeGreaterThan(2)
    const counted = await app.database.read((db) =>
      db.all(sql`SELECT count, count(*) AS rows FROM throttles GROUP BY count ORDER BY count`),
    )
    expect(JSON.parse(JSON.stringify(counted))).toEqual([
      { count: 1, rows: 40_000 },
      { count: 2, rows: 60_000 },
    ])
  })
})

async function statements({ metrics }: TestApp): Promise<number> {
  const text = await metrics.print()
  return [...text.matchAll(/munjigi_database_statement_seconds_count\{kind="\w+"\} (\d+)/g)]
    .map(([, count]) => Number(count))
    .reduce((sum, count) => sum + count, 0)
}
