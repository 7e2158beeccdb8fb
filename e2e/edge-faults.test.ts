// What clients notice when a part dies, hangs, is replaced or is away: as little as can be. With EDGE_LONG=1 the loads are
// those of the figures in docs/edge.md, and the figures are printed.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Load, LoadResult, Target } from './http-client.ts'
import { graphqlRequest, holding, request, sendOnce, startLoad } from './http-client.ts'
import { quantile } from './quantile.ts'
import type { Replica, Stack } from './stack.ts'
import { startStack } from './stack.ts'
import { canRunStack } from './tools.ts'
import { until } from './until.ts'

const LONG = process.env['EDGE_LONG'] === '1'
const hasStack = await canRunStack()
const describeStack = describe.skipIf(!hasStack)
setDefaultTimeout(LONG ? 300_000 : 90_000)

/** Requests a second. */
const RATES = LONG ? { me: 300, login: 5 } : { me: 150, login: 2 }
/** How many of them wait for their answers at most. */
const AT_ONCE = LONG ? 1_000 : 30
/** What a load sends before it is called one. */
const LEAST = LONG ? 20_000 : 1_000
/** Between a signal and the moment when the edge has heard of it, some more are on their way to the dead. */
const SLACK = 10

const EMAIL = 'kim@example.com'
/** Somebody else's: a user has so many sessions at most, and the oldest end when there are more. */
const LOGIN_EMAIL = 'lee@example.com'
const SIGNUP = (email: string) => ({
  query: `mutation { signup(${credentials(email)}) { tokens { accessToken } } }`,
})
const LOGIN = { query: `mutation { login(${credentials(LOGIN_EMAIL)}) { __typename } }` }
const ME = { query: '{ me { id email } }' }

function credentials(email: string): string {
  return `email: "${email}", password: "correct horse battery staple"`
}

/** A stack, with two users, and the token of the first. */
async function start(options: Parameters<typeof startStack>[0] = {}) {
  const stack = await startStack({
    floodLimit: 50_000,
    env: { MUNJIGI_DRAIN_SECONDS: LONG ? '6' : '2', MUNJIGI_LOG_LEVEL: 'warning' },
    ...options,
  })
  const target = { port: stack.ports.https, ca: stack.ca.text }
  const signedUp = await sendOnce(target, graphqlRequest(SIGNUP(EMAIL)))
  await sendOnce(target, graphqlRequest(SIGNUP(LOGIN_EMAIL)))
  return {
    stack,
    target,
    token: JSON.parse(signedUp.body).data.signup.tokens.accessToken as string,
  }
}

let stack: Stack
let target: Target
let token: string

beforeAll(async () => {
  if (!hasStack) return
  ;({ stack, target, token } = await start())
})

afterAll(async () => {
  if (hasStack) await stack.stop()
})

function me(): string {
  return graphqlRequest(ME, { authorization: `Bearer ${token}` })
}

/** `me`, as fast as the plan says, or as a busy machine can: lost for want of time, a request would count as lost by a fault. */
function loadOfMe(rate = RATES.me, atOnce = AT_ONCE): Load {
  return startLoad({ target, rate, atOnce, next: me, judge: holding(EMAIL) })
}

/** One after the other: a busy machine can take half a second for a hash, and then refuses those that would have to wait. */
function loadOfLogins(): Load {
  const next = () => graphqlRequest(LOGIN)
  return startLoad({ target, rate: RATES.login, atOnce: 1, next, judge: holding('LoggedIn') })
}

/** For docs/edge.md; tests say nothing about milliseconds. */
function note(what: string, since: number): void {
  if (LONG) console.log(`${what}: ${Math.round(performance.now() - since)} ms`)
}

/** The same, of a load. */
function figure(what: string, { sent, failures, times }: LoadResult, excludedMs?: number): void {
  if (!LONG) return
  const whys = [...new Set(failures.map(({ why }) => why.slice(0, 60)))].join(' | ')
  const excluded = excludedMs === undefined ? '' : `, excluded after ${Math.round(excludedMs)} ms`
  const [p50, p99] = [0.5, 0.99].map((share) => quantile(times, share)?.toFixed(1))
  console.log(
    `${what}: ${failures.length} of ${sent} failed, p50 ${p50}, p99 ${p99} ms${excluded} ${whys}`,
  )
}

/** A few of them: a load that fails, fails a thousand times. */
function told(failures: LoadResult['failures']): string[] {
  const lines = failures.map(({ sentAt, why }) => `at ${Math.round(sentAt)} ms: ${why}`)
  return lines.length > 5 ? [...lines.slice(0, 5), `and ${lines.length - 5} more`] : lines
}

function replica(index: number): Replica {
  const found = stack.replicas[index]
  if (!found) throw new Error(`no replica ${index}`)
  return found
}

/** Resolves when no thread of the edge sends requests there: each looks by itself, a moment after the console shows it. */
async function excluded(one: Replica): Promise<void> {
  await stack.seen(one, 'silent', 'down', 'ejected')
  // Of so many connections each thread gets some, and when it has served one it has looked.
  const keys = request('GET', '/.well-known/jwks.json')
  await Promise.allSettled(Array.from({ length: 20 }, () => sendOnce(target, keys)))
}

async function allUp(): Promise<void> {
  for (const one of stack.replicas) await stack.seen(one, 'up')
}

describeStack('behind the edge', () => {
  test('all replicas are replaced under load without one failure', async () => {
    const before = stack.replicas.map(({ pid }) => pid)
    const [loads, logins] = [loadOfMe(), loadOfLogins()]
    for (const one of stack.replicas) await stack.replace(one)
    if (loads.sent < LEAST) await loads.more(LEAST - loads.sent)
    const [result, loginResult] = await Promise.all([loads.stop(), logins.stop()])
    figure('rolling restart, me', result)
    figure('rolling restart, login', loginResult)
    expect(told(result.failures)).toEqual([])
    expect(told(loginResult.failures)).toEqual([])
    expect(stack.replicas.filter(({ pid }, index) => pid === before[index])).toEqual([])
  })

  test('a replica that is killed takes only the requests in flight with it, and comes back by itself', async () => {
    const load = loadOfMe()
    await load.more(200)
    const [killedAt, inFlight] = [load.now, load.open]
    replica(0).kill('SIGKILL')
    await excluded(replica(0))
    const excludedAt = load.now
    await load.more(200)
    await until('the process is gone', () => replica(0).state === 'ended')
    await replica(0).start()
    const started = performance.now()
    await stack.seen(replica(0), 'up')
    note('SIGKILL, back after its start', started)
    await load.more(200)
    const result = await load.stop()
    figure('SIGKILL', result, excludedAt - killedAt)
    expect(result.failures.length).toBeLessThanOrEqual(inFlight + SLACK)
    expect(told(result.failures.filter(({ sentAt }) => sentAt > excludedAt))).toEqual([])
  })

  test('a replica that hangs loses what was sent to it until it is excluded, and nothing after', async () => {
    // What it is sent waits for ten seconds, and the others go on meanwhile.
    const load = loadOfMe(LONG ? RATES.me : 60, 1_000)
    await load.more(60)
    const stoppedAt = load.now
    replica(1).kill('SIGSTOP')
    await excluded(replica(1))
    const excludedAt = load.now
    await until('the edge gives up what was sent to it', () => load.failed > 0)
    // Else the last of what it was sent would still be answered, and the figure were not the worst.
    if (LONG) await until('it gives up all of it', () => load.now > excludedAt + 11_000)
    replica(1).kill('SIGCONT')
    await stack.seen(replica(1), 'up')
    await load.more(60)
    const result = await load.stop()
    figure('SIGSTOP', result, excludedAt - stoppedAt)
    expect(told(result.failures.filter(({ sentAt }) => sentAt > excludedAt))).toEqual([])
    // By the edge, or by the replica, if it wakes up just before the edge gives up.
    expect(told(result.failures.filter(({ why }) => !/^50[34]/.test(why)))).toEqual([])
  })

  test('the edge answers in the shape of GraphQL when all replicas are dead, and serves when they are back', async () => {
    for (const one of stack.replicas) one.kill('SIGKILL')
    for (const one of stack.replicas) await until('it is gone', () => one.state === 'ended')
    const asked = performance.now()
    const { status, headers, body } = await sendOnce(target, me())
    note('all killed, answered', asked)
    expect(status).toBe(503)
    expect(headers['retry-after']).toBe('1')
    expect(headers['content-type']).toStartWith('application/graphql-response+json')
    const [error] = JSON.parse(body).errors
    expect(error.extensions).toEqual({
      code: 'SERVICE_UNAVAILABLE',
      retryAfter: 1,
      requestId: headers['x-request-id'],
    })
    expect(body).not.toContain('127.0.0.1')
    await Promise.all(stack.replicas.map((one) => one.start()))
    const started = performance.now()
    await until('it serves', async () => (await sendOnce(target, me())).status === 200)
    note('all killed, served again after their start', started)
    await allUp()
  })

  test('while the database is away, logged-in users stay so, keys are served, and the rest is told to wait', async () => {
    await stack.database.stop()
    for (const one of stack.replicas) await stack.seen(one, 'down')
    // The login first: it takes as long as the edge could need to send nobody anything any more.
    const login = JSON.parse((await sendOnce(target, graphqlRequest(LOGIN))).body)
    expect(login.errors[0].extensions).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 1 })
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        sendOnce(target, index % 2 === 0 ? me() : request('GET', '/.well-known/jwks.json')),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(answers[0]?.body).toContain(EMAIL)
    await stack.database.start()
    const returned = performance.now()
    await allUp()
    note('database back, all replicas up', returned)
    const again = await sendOnce(target, graphqlRequest(LOGIN))
    expect(JSON.parse(again.body).data.login).toEqual({ __typename: 'LoggedIn' })
  })

  test('the edge itself can be started again: replicas and tokens know nothing of it', async () => {
    expect(await stack.edge.stop()).toBe(0)
    // Whoever waits to see a replica behind it goes on waiting.
    const seen = allUp()
    await stack.edge.start()
    await seen
    expect((await sendOnce(target, me())).body).toContain(EMAIL)
  })
})

describeStack('with the check by TCP connect', () => {
  test('a dead replica is out after its threshold; one that only cannot serve is not noticed', async () => {
    const { stack: tcp, target: to } = await start({
      edge: { healthCheck: { kind: 'tcp', failures: 3 } },
    })
    await using _ = tcp
    const [first, second] = tcp.replicas
    if (!first || !second) throw new Error('no replicas')
    const before = await failedChecks(tcp)
    const killed = performance.now()
    first.kill('SIGKILL')
    await tcp.seen(first, 'down')
    note('TCP check, excluded', killed)
    expect((await failedChecks(tcp)) - before).toBeGreaterThanOrEqual(3)
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await sendOnce(to, graphqlRequest(ME))).status),
    )
    expect(new Set(statuses)).toEqual(new Set([200]))
    await until('the process is gone', () => first.state === 'ended')
    await first.start()
    await tcp.seen(first, 'up')

    await tcp.database.stop()
    await until('it is not ready', async () => {
      const { status } = await fetch(`http://127.0.0.1:${second.port}/readyz`)
      return status === 503
    })
    expect((await tcp.seen(second, 'up', 'down')).state).toBe('up')
  })
})

async function failedChecks({ consoleUrl }: Stack): Promise<number> {
  const filter = '^cluster.munjigi.health_check.failure$'
  const text = await (await fetch(`${consoleUrl}/stats?filter=${filter}`)).text()
  return Number(/: (\d+)/.exec(text)?.[1])
}
