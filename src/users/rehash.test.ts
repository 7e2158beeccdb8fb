// A hash of another kind or cost is replaced at the next login that is right, once, whatever happens beside it.

import { describe, expect, test } from 'bun:test'
import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import { createBunHasher } from '../passwords/hasher.ts'
import type { Password } from '../passwords/password.ts'
import type { Database } from '../storage/database.ts'
import type { TestApp } from '../testing/app.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { createThrottle } from '../throttle/throttle.ts'
import { parseEmail } from './email.ts'
import { selectUser, userOfEmail } from './store.ts'
import { createUsers } from './users.ts'

const CHANGE =
  'mutation($from: String!, $to: String!) { changePassword(currentPassword: $from, newPassword: $to) { accessToken } }'
const CHANGED = 'another horse, another battery'
const OLD = await createBunHasher({ memoryKib: 16, passes: 1 }).hash(KIM.password as Password)
const BCRYPT = await Bun.password.hash(KIM.password, { algorithm: 'bcrypt', cost: 4 })
const TODAY = `$argon2id$v=19$m=${CHEAP_HASH.memoryKib},t=${CHEAP_HASH.passes},p=1$`

/** An app whose user has this hash, and the user's access token. */
async function appWith(hash: string): Promise<{ app: TestApp; token: string }> {
  const app = await createTestApp()
  const { data } = await app.run(SIGNUP, KIM)
  await app.database.write((db) => db.run(`UPDATE users SET password_hash = '${hash}'`))
  return { app, token: data.signup.tokens.accessToken }
}

async function hashIn(app: TestApp): Promise<string> {
  const row = await app.database.read((db) => selectUser(db, userOfEmail(KIM.email as never)))
  return row?.passwordHash ?? ''
}

async function login(app: TestApp, password: string): Promise<string> {
  const { data, code } = await app.run(LOGIN, { ...KIM, password })
  return String(data?.login?.__typename ?? code)
}

describe('a right login replaces', () => {
  test.each([
    ['a hash of another cost', OLD],
    ['bcrypt', BCRYPT],
  ])('%s, and the session it opened lives', async (_, hash) => {
    const { app } = await appWith(hash)
    const { data } = await app.run(LOGIN, KIM)
    expect(await hashIn(app)).toStartWith(TODAY)
    const me = await app.run('{ me { id } }', {}, data.login.tokens.accessToken)
    expect(me.data.me.id).toBe('usr_1')
    expect(await login(app, KIM.password)).toBe('LoggedIn')
  })
})

test('a hash of today stays as it is, and costs one hash to check', async () => {
  const app = await createTestApp()
  await app.run(SIGNUP, KIM)
  const [hash, before] = [await hashIn(app), await hashCount(app)]
  expect(await login(app, KIM.password)).toBe('LoggedIn')
  expect([await hashIn(app), (await hashCount(app)) - before]).toEqual([hash, 1])
})

test('a hash that a replica with another cost puts in its place, as in a rollout, is left alone for an hour', async () => {
  const { app } = await appWith(OLD)
  const loginAndLook = async () => [await login(app, KIM.password), await hashIn(app)]
  expect(await loginAndLook()).toEqual(['LoggedIn', expect.stringContaining(TODAY)])
  await app.database.write((db) => db.run(`UPDATE users SET password_hash = '${BCRYPT}'`))
  expect(await loginAndLook()).toEqual(['LoggedIn', BCRYPT])
  app.clock.advance('59m')
  expect(await loginAndLook()).toEqual(['LoggedIn', BCRYPT])
  app.clock.advance('1m')
  expect(await loginAndLook()).toEqual(['LoggedIn', expect.stringContaining(TODAY)])
})

test('a wrong login replaces nothing, and costs one hash as for nobody', async () => {
  const { app } = await appWith(OLD)
  const before = await hashCount(app)
  expect(await login(app, 'wrong horse battery')).toBe('INVALID_CREDENTIALS')
  expect([await hashIn(app), (await hashCount(app)) - before]).toEqual([OLD, 1])
})

test('the right login of a disabled user replaces nothing', async () => {
  const { app } = await appWith(OLD)
  await app.database.write((db) => db.run('UPDATE users SET disabled_at = 1'))
  expect(await login(app, KIM.password)).toBe('INVALID_CREDENTIALS')
  expect(await hashIn(app)).toBe(OLD)
})

test('ten right logins at once all succeed, and one new hash remains', async () => {
  const { app } = await appWith(OLD)
  const answers = await Promise.all(Array.from({ length: 10 }, () => login(app, KIM.password)))
  expect(new Set(answers)).toEqual(new Set(['LoggedIn']))
  expect(await hashIn(app)).toStartWith(TODAY)
  expect(await login(app, KIM.password)).toBe('LoggedIn')
})

test('a login beside a change of password never brings the old password back', async () => {
  for (let round = 0; round < 10; round += 1) {
    const { app, token } = await appWith(OLD)
    const [, { code }] = await Promise.all([
      login(app, KIM.password),
      app.run(CHANGE, { from: KIM.password, to: CHANGED }, token),
    ])
    // Either the change came through, or it was refused because the hash it had checked was replaced.
    const [valid, dead] = code ? [KIM.password, CHANGED] : [CHANGED, KIM.password]
    expect([await login(app, valid), await login(app, dead)]).toEqual([
      'LoggedIn',
      'INVALID_CREDENTIALS',
    ])
  }
}, 60_000)

describe.each([
  ['a change of password', CHANGE],
  ['the deletion of a user', 'mutation($from: String!) { deleteMe(password: $from) { sessions } }'],
])('%s', (_, query) => {
  const variables = { from: KIM.password, to: CHANGED }

  test('beside a login that replaces the hash takes the right password for no wrong one', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { app, token } = await appWith(OLD)
      const [{ code }] = await Promise.all([
        app.run(query, variables, token),
        login(app, KIM.password),
      ])
      expect(code).toBeUndefined()
    }
  })

  test('does not either where that login has replaced it since the hash was read', async () => {
    const { app, token } = await appWith(OLD)
    let reading = false
    const database: Database = {
      ...app.database,
      async commit(statements) {
        const outcomes = await app.database.commit(statements)
        if (reading) {
          reading = false
          await login(replica, KIM.password)
        }
        return outcomes
      },
    }
    const replica = await createTestApp({ database, clock: app.clock })
    reading = true
    expect((await replica.run(query, variables, token)).code).toBeUndefined()
  })
})

describe('a login during which the hash is replaced by', () => {
  /** The answer of a login, the hash at last, and how many wrong logins are counted. */
  async function loginBeside(from: string, to: string): Promise<[string, string, number]> {
    const { app } = await appWith(from)
    let changing = false
    const database: Database = {
      ...app.database,
      async commit(statements) {
        const outcomes = await app.database.commit(statements)
        // The first charges the attempt and brings the user.
        if (changing)
          await app.database.write((db) => db.run(`UPDATE users SET password_hash = '${to}'`))
        changing = false
        return outcomes
      },
    }
    const replica = await createTestApp({ database, clock: app.clock })
    changing = true
    // Both count their ids, and the first one is taken.
    replica.random.id('ses')
    const answer = await login(replica, KIM.password)
    const counted = await app.database.read((db) =>
      db.get<{ count: number }>(`SELECT count FROM throttles WHERE key LIKE 'known_address:%'`),
    )
    return [answer, await hashIn(app), counted.count]
  }
  const hash = (text: string, passes: number) =>
    createBunHasher({ ...CHEAP_HASH, passes }).hash(text as Password)

  test('one of another replica, for the same password, is no wrong login', async () => {
    const [today, replaced] = [
      await hash(KIM.password, CHEAP_HASH.passes),
      await hash(KIM.password, 3),
    ]
    expect(await loginBeside(today, replaced)).toEqual([
      'LoggedIn',
      expect.stringMatching(/^\$argon2id\$v=19\$m=8,t=1,/),
      0,
    ])
    expect(await loginBeside(OLD, replaced)).toEqual(['LoggedIn', replaced, 0])
  })

  test('another one of the same password each time is a wrong login after the second try', async () => {
    const { app } = await appWith(await hash(KIM.password, CHEAP_HASH.passes))
    const database: Database = {
      ...app.database,
      async commit(statements) {
        const outcomes = await app.database.commit(statements)
        const next = await hash(KIM.password, CHEAP_HASH.passes)
        await app.database.write((db) => db.run(`UPDATE users SET password_hash = '${next}'`))
        return outcomes
      },
    }
    const replica = await createTestApp({ database, clock: app.clock })
    expect(await login(replica, KIM.password)).toBe('INVALID_CREDENTIALS')
    expect(await hashCount(replica)).toBe(2)
  })

  test('that of another password is a wrong login, and stays', async () => {
    const [today, changed] = [
      await hash(KIM.password, CHEAP_HASH.passes),
      await hash(CHANGED, CHEAP_HASH.passes),
    ]
    expect(await loginBeside(today, changed)).toEqual(['INVALID_CREDENTIALS', changed, 1])
    expect(await loginBeside(OLD, changed)).toEqual(['INVALID_CREDENTIALS', changed, 1])
  })
})

test('where too many wait, the login goes on with the hash that was checked', async () => {
  const { app } = await appWith(OLD)
  const users = createUsers({
    ...app,
    throttle: createThrottle({
      ...app,
      key: new Uint8Array(32),
      emailDigest: () => '',
      report: () => {},
    }),
    passwords: {
      requireRoom: () => Promise.resolve(),
      async check(_, find, { attempt }) {
        const [row] = await attempt.charge(find)
        return { row, matches: row?.passwordHash === OLD }
      },
      isCurrent: () => false,
      hash: () => Promise.reject(new AuthError('OVERLOADED')),
    },
  })
  const who = {
    email: parseEmail(KIM.email),
    password: KIM.password as Password,
  }
  const client: Client = { requestId: '', address: '192.0.2.1', userAgent: '' }
  expect(await users.authenticate(who, client)).toMatchObject({
    kind: 'confirmed',
    passwordHash: OLD,
  })
  expect(await hashIn(app)).toBe(OLD)
})

async function hashCount(app: TestApp): Promise<number> {
  const metrics = await app.metrics.print()
  return Number(/password_hash_seconds_count\{engine="bun"\} (\d+)/.exec(metrics)?.[1])
}
