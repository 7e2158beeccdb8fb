// The life of a password as users see it: chosen, used for years, changed (ASVS 6.2).

import { describe, expect, test } from 'bun:test'
import type { Answer, TestApp } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'

const CHANGE =
  'mutation($from: String!, $to: String!) { changePassword(currentPassword: $from, newPassword: $to) { accessToken } }'
const CHANGED = 'another horse, another battery'

const login = async (app: TestApp, password: string) => {
  const { data, code } = await app.run(LOGIN, { ...KIM, password })
  return data?.login.__typename ?? code
}
const reasonOf = ({ errors }: Pick<Answer, 'errors'>) =>
  [errors?.[0]?.extensions['field'], errors?.[0]?.extensions['reason']].join(' ')

async function hashOf(app: TestApp): Promise<string> {
  const row = await app.database.read((db) =>
    db.get<{ hash: string }>('SELECT password_hash AS hash FROM users'),
  )
  return row.hash
}

describe('a password that is chosen', () => {
  test.each([64, 128, 256, 1_024])(
    'of %d characters signs up and logs in (6.2.9)',
    async (length) => {
      const app = await createTestApp()
      const password = '가나다 라마바 🚪 '.repeat(150)
      const chosen = [...password].slice(0, length).join('')
      expect((await app.run(SIGNUP, { ...KIM, password: chosen })).code).toBeUndefined()
      expect(await login(app, chosen)).toBe('LoggedIn')
      expect(await login(app, [...chosen].slice(0, -1).join(''))).toBe('INVALID_CREDENTIALS')
    },
  )

  test.each([
    ['too_short', '1234567'],
    ['too_long', 'x'.repeat(1_025)],
    ['common', 'password1'],
    ['context', 'kim@example.com'],
    ['malformed', 'ends badly \uD800'],
  ])('is refused as %s, and told so (6.2.4, 6.2.11)', async (reason, password) => {
    const app = await createTestApp()
    expect(reasonOf(await app.run(SIGNUP, { ...KIM, password }))).toBe(`password ${reason}`)
    const { data } = await app.run(SIGNUP, KIM)
    const { accessToken } = data.signup.tokens
    const change = await app.run(CHANGE, { from: KIM.password, to: password }, accessToken)
    expect(reasonOf(change)).toBe(`newPassword ${reason}`)
    expect(await login(app, KIM.password)).toBe('LoggedIn')
  })
})

test.each(['bluewhale 12', 'greentree 12'])(
  'the name of the service is no password: %s (6.2.11)',
  async (password) => {
    const config = { tokenAudience: 'bluewhale', issuerUrl: 'https://login.greentree.example' }
    const app = await createTestApp({ config })
    expect(reasonOf(await app.run(SIGNUP, { ...KIM, password }))).toBe('password context')
  },
)

test.each([
  [7, { minLength: 8 }],
  [1_025, { maxLength: 1_024 }],
  [90_000, { maxLength: 1_024 }],
])('of a password of %d characters is told how long it must or may be', async (length, lengths) => {
  const password = 'x'.repeat(length)
  const { errors } = await (await createTestApp()).run(SIGNUP, { ...KIM, password })
  expect(errors?.[0]?.extensions).toMatchObject(lengths)
})

test('a password does not expire (6.2.10)', async () => {
  const app = await createTestApp()
  await app.run(SIGNUP, KIM)
  app.clock.advance('400d')
  expect(await login(app, KIM.password)).toBe('LoggedIn')
})

describe('a password that is changed', () => {
  test('needs the current one: without it, or with another, the hash stays (6.2.3)', async () => {
    const app = await createTestApp()
    const { accessToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
    const before = await hashOf(app)
    for (const [from, code] of [
      ['wrong horse battery', 'INVALID_CREDENTIALS'],
      ['', 'INVALID_CREDENTIALS'],
      [null, 'BAD_USER_INPUT'],
    ] as const)
      expect((await app.run(CHANGE, { from, to: CHANGED }, accessToken)).code).toBe(code)
    expect(await hashOf(app)).toBe(before)
  })

  test('is dead, and the new one lives', async () => {
    const app = await createTestApp()
    const { accessToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
    const { code } = await app.run(CHANGE, { from: KIM.password, to: CHANGED }, accessToken)
    expect(code).toBeUndefined()
    expect([await login(app, KIM.password), await login(app, CHANGED)]).toEqual([
      'INVALID_CREDENTIALS',
      'LoggedIn',
    ])
  })
})

test('a thousand users with one password have a thousand hashes', async () => {
  const app = await createTestApp()
  for (let user = 0; user < 1_000; user += 1)
    await app
      .from(`10.0.${user >> 8}.${user & 255}`)
      .run(SIGNUP, { ...KIM, email: `u${user}@example.com` })
  const rows = await app.database.read((db) =>
    db.all<{ hash: string }>('SELECT password_hash AS hash FROM users'),
  )
  expect(new Set(rows.map(({ hash }) => hash.split('$')[4])).size).toBe(1_000)
  expect(new Set(rows.map(({ hash }) => hash.split('$')[5])).size).toBe(1_000)
}, 60_000)
