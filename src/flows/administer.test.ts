// What an operator decides about somebody who has gone, or was dealt with before.

import { expect, test } from 'bun:test'
import type { Core } from '../app.ts'
import { createCore } from '../app.ts'
import { endedSessions } from '../sessions/table.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { createTestLog } from '../testing/log.ts'
import { knownAddresses, throttles } from '../throttle/table.ts'
import { users } from '../users/table.ts'
import type { User } from '../users/user.ts'
import { disable, remove, setPassword } from './administer.ts'

async function setUp() {
  const app = await createTestApp()
  const { data } = await app.run(SIGNUP, KIM)
  const token: string = data.signup.tokens.accessToken
  const { log } = createTestLog()
  const core = await createCore({ ...app, log, report: () => {}, hashingCost: CHEAP_HASH })
  const user = await core.users.find(KIM.email)
  if (!user) throw new Error('nobody has signed up')
  return { app, core, user, token }
}

test('whatever an operator decides about a user who has gone meanwhile throws NOT_FOUND', async () => {
  const { core, user } = await setUp()
  expect(await remove(core, user)).toBe(1)
  const code = 'NOT_FOUND'
  await expect(setPassword(core, user, 'another horse battery')).rejects.toMatchObject({ code })
  await expect(disable(core, user)).rejects.toMatchObject({ code })
  await expect(core.users.enable(user.id)).rejects.toMatchObject({ code })
  await expect(remove(core, user)).rejects.toMatchObject({ code })
})

test.each([
  [
    'password_changed',
    (core: Core, user: User) => setPassword(core, user, 'one horse, no battery'),
  ],
  ['user_disabled', disable],
  ['user_deleted', remove],
] as const)(
  'of a session that it ends the database keeps when and why: %s',
  async (reason, decide) => {
    const { app, core, user } = await setUp()
    app.clock.advance('1m')
    await decide(core, user)
    const rows = await app.database.read((db) => db.select().from(endedSessions))
    expect(rows).toMatchObject([{ reason, endedAt: app.clock.now() }])
  },
)

test('an operator is shown the sessions of a user that have not expired', async () => {
  const { app, core, user } = await setUp()
  expect(await core.sessions.list(user.id)).toHaveLength(1)
  app.clock.advance('30d')
  expect(await core.sessions.list(user.id)).toEqual([])
})

test('a user who has no session is deleted all the same', async () => {
  const { core, user } = await setUp()
  await core.sessions.endAll(user.id, 'ended')
  expect(await remove(core, user)).toBe(0)
  expect(await core.users.find(user.id)).toBeNull()
})

test('a password that an operator chooses for a user is compared with their e-mail, too', async () => {
  const { core, user } = await setUp()
  await expect(setPassword(core, user, KIM.email)).rejects.toMatchObject({
    code: 'WEAK_PASSWORD',
    details: { reason: 'context' },
  })
})

test.each([
  [
    'has a new password',
    (core: Core, user: User) => setPassword(core, user, 'one horse, no battery'),
  ],
  ['is deleted', remove],
])('of a user who %s, neither counts nor addresses are left', async (_, decide) => {
  const { app, core, user, token } = await setUp()
  await app.run(LOGIN, { ...KIM, password: 'wrong' })
  await app.run('mutation { deleteMe(password: "wrong") { sessions } }', {}, token)
  const kept = () =>
    app.database.read(async (db) => [
      (await db.select().from(throttles)).filter(({ key }) =>
        /^(user|known|reauthentication)/.test(key),
      ).length,
      await db.$count(knownAddresses),
    ])
  expect(await kept()).toEqual([2, 1])
  await decide(core, user)
  expect(await kept()).toEqual([0, 0])
})

test.each([
  [
    'gets a new password',
    (core: Core, user: User) => setPassword(core, user, 'one horse, no battery'),
  ],
  ['is deleted', remove],
])(
  'a user over whose address an operator has written by hand %s all the same',
  async (_, decide) => {
    const { app, core, user } = await setUp()
    await app.database.write((db) => db.update(users).set({ email: 'anonymous' }))
    const written = await core.users.find(user.id)
    expect(written?.email).toBe('anonymous')
    expect(await decide(core, written ?? user)).toBe(1)
  },
)

test('a user who is disabled twice is disabled since the first time', async () => {
  const { app, core, user } = await setUp()
  const since = new Date(app.clock.now())
  expect(await disable(core, user)).toBe(1)
  app.clock.advance('1h')
  expect(await disable(core, user)).toBe(0)
  expect((await core.users.find(KIM.email))?.disabledAt).toEqual(since)
  await core.users.enable(user.id)
  expect((await app.run(LOGIN, KIM)).data.login.__typename).toBe('LoggedIn')
})
