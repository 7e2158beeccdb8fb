// Whole stories, through HTTP: what a client sends, what it gets, and which security events operators see.

import { describe, expect, test } from 'bun:test'
import { createTestApp, KIM, LOGIN, ME, SIGNUP } from './testing/app.ts'

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
