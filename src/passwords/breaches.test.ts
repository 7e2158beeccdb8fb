// Asking about breaches, against a real server on this machine that speaks the range protocol, or does not.

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { createCore } from '../app.ts'
import { setPassword } from '../flows/administer.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { createTestLog } from '../testing/log.ts'

const DIGEST = createHash('sha1').update(KIM.password).digest('hex').toUpperCase()
const [PREFIX, REST] = [DIGEST.slice(0, 5), DIGEST.slice(5)]
const OTHERS = `${'0'.repeat(35)}:3\r\n${'A'.repeat(35)}:0\r\n`

const asked: Array<{ path: string; padding: string | null }> = []
let answer: () => Response | Promise<Response> = () => new Response(OTHERS)
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch(request) {
    const path = new URL(request.url).pathname
    asked.push({ path, padding: request.headers.get('add-padding') })
    return answer()
  },
})
const url = `http://127.0.0.1:${server.port}/range`

/** A server has a second of real time to answer, and on a busy machine can need more. */
const TIMES_LONGER = 20
const { timeout } = AbortSignal

beforeEach(() => {
  asked.length = 0
  AbortSignal.timeout = (ms) => timeout.call(AbortSignal, TIMES_LONGER * ms)
})
afterEach(() => {
  AbortSignal.timeout = timeout
})
afterAll(() => server.stop(true))

async function signup(respond: typeof answer, config: { passwordBreachUrl?: string } = {}) {
  answer = respond
  const app = await createTestApp({ config: { passwordBreachUrl: url, ...config } })
  const { code, errors } = await app.run(SIGNUP, KIM)
  const metrics = await app.metrics.print()
  const count = (result: string) =>
    Number(
      new RegExp(`breach_checks_total\\{result="${result}"\\} (\\d+)`).exec(metrics)?.[1] ?? -1,
    )
  const warnings = app.logLines
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'breach_check.failed')
  return {
    app,
    code,
    reason: errors?.[0]?.extensions['reason'],
    counts: [count('clean'), count('breached'), count('failed')],
    warnings,
  }
}

test('a password from a breach is refused, and only five digits of its digest were told', async () => {
  const { code, reason, counts } = await signup(() => new Response(`${OTHERS}${REST}:42\r\n`))
  expect([code, reason]).toEqual(['WEAK_PASSWORD', 'breached'])
  expect(counts).toEqual([0, 1, 0])
  expect(asked).toEqual([{ path: `/range/${PREFIX}`, padding: 'true' }])
})

test.each([
  ['well chosen', OTHERS, undefined],
  ['breached', `${OTHERS}${REST}:42\r\n`, 'WEAK_PASSWORD'],
])(
  'about the %s password of a signup nobody is asked before the attempt is charged',
  async (_, body, code) => {
    answer = () => new Response(body)
    const app = await createTestApp({
      config: { passwordBreachUrl: url, throttleSignupAttempts: 2 },
    })
    const codes: unknown[] = []
    for (let i = 0; i < 5; i += 1)
      codes.push((await app.run(SIGNUP, { ...KIM, email: `${i}@example.com` })).code)
    expect(codes).toEqual([code, code, 'RATE_LIMITED', 'RATE_LIMITED', 'RATE_LIMITED'])
    expect(asked).toHaveLength(2)
  },
)

test('what an operator sets is asked about as well', async () => {
  answer = () => new Response(`${OTHERS}${REST}:42\r\n`)
  const app = await createTestApp({ config: { passwordBreachUrl: url } })
  await app.run(SIGNUP, { ...KIM, password: 'another horse, another battery' })
  const { log } = createTestLog()
  const core = await createCore({ ...app, log, report: () => {}, hashingCost: CHEAP_HASH })
  const user = await core.users.find(KIM.email)
  if (!user) throw new Error('nobody has signed up')
  await expect(setPassword(core, user, KIM.password)).rejects.toMatchObject({
    code: 'WEAK_PASSWORD',
    details: { reason: 'breached' },
  })
})

test('about a new password nobody is asked before the old one was found right; then the attempt costs nothing', async () => {
  const change =
    'mutation($from: String!, $to: String!) { changePassword(currentPassword: $from, newPassword: $to) { accessToken } }'
  const to = 'another horse, another battery'
  const rest = createHash('sha1').update(to).digest('hex').toUpperCase().slice(5)
  const { app } = await signup(() => new Response(`${rest}:7\r\n`))
  asked.length = 0
  const { accessToken } = (await app.run(LOGIN, KIM)).data.login.tokens
  const run = (from: string) => app.run(change, { from, to }, accessToken)
  expect((await run('wrong horse battery')).code).toBe('INVALID_CREDENTIALS')
  expect(asked).toEqual([])
  for (let i = 0; i < 12; i += 1)
    expect((await run(KIM.password)).errors?.[0]?.extensions).toMatchObject({
      code: 'WEAK_PASSWORD',
      field: 'newPassword',
      reason: 'breached',
    })
  expect(asked).toHaveLength(12)
})

test.each([
  ['is not among the answers', OTHERS],
  ['is there as padding only', `${OTHERS}${REST}:0\r\n`],
])('a password that %s is accepted', async (_, body) => {
  const { code, counts } = await signup(() => new Response(body))
  expect([code, counts]).toEqual([undefined, [1, 0, 0]])
})

describe('without an answer the shipped list has the last word, and it is counted', () => {
  test.each<[string, typeof answer, string]>([
    ['an error', () => new Response('no', { status: 500 }), 'status 500'],
    ['a page', () => new Response('<html>Please log in</html>'), 'not a range'],
    ['nothing', () => new Response(''), 'not a range'],
    ['a range cut short', () => new Response(`${OTHERS}ABC`), 'not a range'],
    ['a flood', () => new Response(OTHERS.repeat(20_000)), 'too long'],
    ['a way elsewhere', () => Response.redirect(`${url}/elsewhere`), 'UnexpectedRedirect'],
    ['silence', () => new Promise<Response>(() => {}), 'no answer in time'],
    [
      'a beginning and then silence',
      () => new Response(new ReadableStream({ start: (body) => body.enqueue('0') })),
      'no answer in time',
    ],
  ])('%s', async (_, respond, reason) => {
    // Those that never answer are waited for no longer than always.
    if (reason === 'no answer in time') AbortSignal.timeout = timeout
    const { code, counts, warnings, app } = await signup(respond)
    expect([code, counts]).toEqual([undefined, [0, 0, 1]])
    expect(warnings).toMatchObject([{ reason }])
    expect(app.logLines.join()).not.toContain(PREFIX)
    expect((await app.run(SIGNUP, { ...KIM, password: 'password1' })).code).toBe('WEAK_PASSWORD')
  })

  test('a server that is not there', async () => {
    const { code, counts } = await signup(answer, { passwordBreachUrl: 'http://127.0.0.1:1/range' })
    expect([code, counts]).toEqual([undefined, [0, 0, 1]])
  })
})

test('a flood of signups does not become a flood of questions', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  answer = async () => {
    await released
    return new Response(OTHERS)
  }
  const app = await createTestApp({ config: { passwordBreachUrl: url } })
  let done = 0
  const signups = Array.from({ length: 30 }, async (_, at) => {
    const result = await app
      .from(`10.0.0.${at}`)
      .run(SIGNUP, { ...KIM, email: `u${at}@example.com` })
    done += 1
    // Ten need no answer, whichever they are: the answers come when these have gone on.
    if (done === 10) release()
    return result
  })
  expect((await Promise.all(signups)).map(({ code }) => code)).toEqual(signups.map(() => undefined))
  expect(asked).toHaveLength(20)
  expect(await app.metrics.print()).toContain('breach_checks_total{result="failed"} 10')
})

test('nobody is asked about a password that the rules refuse, nor at a login', async () => {
  const { app } = await signup(() => new Response(OTHERS))
  asked.length = 0
  for (const password of ['1234567', 'password1', 'kim1234567'])
    expect((await app.run(SIGNUP, { ...KIM, password })).code).toBe('WEAK_PASSWORD')
  expect((await app.run(LOGIN, KIM)).data.login.__typename).toBe('LoggedIn')
  expect(asked).toEqual([])
})
