// Where no key could sign, nothing is begun that needs a token afterwards.

import { expect, test } from 'bun:test'
import { createCore } from '../app.ts'
import { AuthError } from '../errors.ts'
import { CHEAP_HASH, createTestApp, KIM, SIGNUP } from '../testing/app.ts'
import { createTestLog } from '../testing/log.ts'
import { changePassword } from './change-password.ts'
import { login } from './login.ts'
import { refresh } from './refresh.ts'
import type { Services } from './services.ts'
import { signup } from './signup.ts'

const CLIENT = { address: '192.0.2.1', userAgent: '', requestId: 'req_1' }
const VIEWER = { userId: 'usr_1', email: KIM.email, sessionId: 'ses_1' }

test.each<[string, (services: Services, refreshToken: string) => Promise<unknown>]>([
  ['signup', (services) => signup(services, { ...KIM, email: 'lee@example.com' }, CLIENT)],
  ['login', (services) => login(services, { ...KIM, viewer: null }, CLIENT)],
  ['refresh', (services, refreshToken) => refresh(services, refreshToken, CLIENT)],
  [
    'changePassword',
    (services) =>
      changePassword(
        services,
        { viewer: VIEWER, currentPassword: KIM.password, newPassword: 'another horse battery' },
        CLIENT,
      ),
  ],
])('where no key can sign, %s is refused and changes nothing', async (_, flow) => {
  const app = await createTestApp()
  const { tokens } = (await app.run(SIGNUP, KIM)).data.signup
  const { log } = createTestLog()
  const core = await createCore({ ...app, log, report: () => {}, hashingCost: CHEAP_HASH })
  const requireKey = () => {
    throw new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 })
  }
  const all = () =>
    app.database.read((db) =>
      Promise.all(
        ['users', 'sessions', 'ended_sessions', 'throttles'].map((table) =>
          db.all(`SELECT * FROM ${table}`),
        ),
      ),
    )
  const before = await all()
  await expect(
    flow({ ...core, tokens: { ...core.tokens, requireKey } }, tokens.refreshToken),
  ).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' })
  expect(await all()).toEqual(before)
})
