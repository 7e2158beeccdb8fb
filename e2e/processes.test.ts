// Several processes on one database, a database that goes and comes back, signals, and starts that fail: what only shows
// when the program runs as an operator runs it.

import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { POOL_NICER } from '../src/platform/pool-priority.ts'
import { KIM, LOGIN, ME, SIGNUP } from '../src/testing/app.ts'
import type { Answer } from './ask.ts'
import { ask } from './ask.ts'
import { canRunSqld, lockFile, startSqld } from './database.ts'
import { connect, request, sendOnce } from './http-client.ts'
import { createLedger, keepSigningUp, loginOutcome } from './ledger.ts'
import { freePort } from './ports.ts'
import { startProgram } from './program.ts'
import { requires } from './requirement.ts'
import type { Server } from './server.ts'
import { metric, startServer, TEST_ISSUER, TEST_SECRET } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-processes-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

function newFile(): { path: string; database: string } {
  files += 1
  const path = join(folder, String(files), 'munjigi.db')
  return { path, database: `file:${path}` }
}

/** Where one machine signs up more users than any client should. */
const NO_SIGNUP_THROTTLE = { MUNJIGI_THROTTLE_SIGNUP_ATTEMPTS: '0' }

const signup = (server: Server, variables: Record<string, unknown> = KIM) =>
  ask(server.url, SIGNUP, { variables })
const login = (server: Server, variables: Record<string, unknown> = KIM) =>
  ask(server.url, LOGIN, { variables })
const me = (server: Server, token: string) => ask(server.url, ME, { token })
const targetOf = ({ url }: Server) => ({ port: Number(new URL(url).port) })
const jwks = async (server: Server) =>
  await (await fetch(`${server.url}/.well-known/jwks.json`)).text()

async function readiness({ url }: Server): Promise<readonly unknown[]> {
  const response = await fetch(`${url}/readyz`)
  return [response.status, await response.json()]
}

const READY = [200, { status: 'ready' }]
const NO_DATABASE = [503, { status: 'unavailable', failing: ['database'] }]
/** Nor can it be read which sessions ended. */
const NOTHING_READ = [503, { status: 'unavailable', failing: ['database', 'ended_sessions'] }]

async function untilReadiness(server: Server, wanted: readonly unknown[]): Promise<void> {
  await until(`/readyz says ${JSON.stringify(wanted)}`, async () =>
    Bun.deepEquals(await readiness(server), wanted),
  )
}

const tokenOf = ({ data }: Answer): string =>
  (data?.signup ?? data?.login)?.tokens.accessToken ?? 'no token'

const onLinux = requires(
  'Linux, where threads have priorities of their own',
  existsSync('/proc/self'),
)

/** The niceness of each thread of a process, by the thread's name. */
function nicenessIn(pid: number): ReadonlyArray<readonly [name: string, nice: number]> {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const file = `/proc/${pid}/task/${thread}/stat`
    // One may have ended in the meantime.
    if (!existsSync(file)) return []
    const stat = readFileSync(file, 'utf8')
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    // Field 19 of proc(5); the third follows the name.
    return [[name, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])] as const]
  })
}

describe.skipIf(!onLinux)('the threads that hash', () => {
  test('give way to all others, those too that begin late', async () => {
    // Of as many as this, most begin with the first hashes.
    const env = { UV_THREADPOOL_SIZE: '8', MUNJIGI_PASSWORD_HASH_CONCURRENCY: '8' }
    await using server = await startServer({ mode: 'serve', database: newFile().database, env })
    const { pid } = server.process
    await signup(server)
    await Promise.all(Array.from({ length: 8 }, () => login(server)))
    const threads = await until('all have given way', () => {
      const found = Map.groupBy(nicenessIn(pid), ([name]) => name.startsWith('Bun Pool '))
      const given = found.get(true)?.every(([, nice]) => nice === getPriority() + POOL_NICER)
      return given && found
    })
    expect(threads.get(true)).toHaveLength(8)
    expect(threads.get(false)?.filter(([, nice]) => nice !== getPriority())).toEqual([])
  })
})

describe('several processes on one file', () => {
  test('a hundred signups of one address at once make one user, and refuse the others by a code', async () => {
    const { path, database } = newFile()
    const start = () => startServer({ mode: 'serve', database, env: NO_SIGNUP_THROTTLE })
    await using here = await start()
    await using there = await start()
    const spellings = [
      'kim@example.com',
      'KIM@example.com',
      'kim@EXAMPLE.com',
      '  Kim@Example.Com ',
    ]
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        signup(i % 2 === 0 ? here : there, { ...KIM, email: spellings[i % 4] }),
      ),
    )
    expect(answers.filter(({ data }) => data?.signup)).toHaveLength(1)
    const codes = new Set(answers.flatMap(({ code }) => (code === undefined ? [] : [code])))
    expect([...codes].filter((code) => !REFUSALS.has(code))).toEqual([])
    using rows = new Database(path, { readonly: true })
    expect(rows.query('SELECT email_key FROM users').all()).toEqual([
      { email_key: 'kim@example.com' },
    ])
    expect((await login(here)).data.login.__typename).toBe('LoggedIn')
    expect((await login(there)).data.login.__typename).toBe('LoggedIn')
  })

  test('four that start at once on nothing share one key: a token of one is good at all', async () => {
    const { path, database } = newFile()
    const servers = await Promise.all(
      Array.from({ length: 4 }, () => startServer({ mode: 'serve', database })),
    )
    const [first, ...others] = servers
    if (!first) throw new Error('no server has started')
    const token = tokenOf(await signup(first))
    const keys = await jwks(first)
    expect(JSON.parse(keys).keys).toHaveLength(1)
    for (const other of others) {
      expect(await jwks(other)).toBe(keys)
      expect((await me(other, token)).data).toMatchObject({ me: { email: KIM.email } })
    }
    expect(await Promise.all(servers.map((server) => server.stop()))).toEqual([0, 0, 0, 0])
    using rows = new Database(path, { readonly: true })
    expect(rows.query('SELECT count(*) AS keys FROM signing_keys').get()).toEqual({ keys: 1 })
  })

  test('what was acknowledged is there after a lock by another process, and a kill in the middle of everything', async () => {
    const { path, database } = newFile()
    const server = await startServer({ mode: 'serve', database, env: NO_SIGNUP_THROTTLE })
    const ledger = createLedger('user')
    const { acknowledged } = ledger
    const load = keepSigningUp(ledger, 4, () => server.url)
    await until('ten have signed up', () => acknowledged.length >= 10)
    {
      await using _lock = await lockFile(path)
      await until('writes have waited', async () => {
        return (await metric(server, 'munjigi_database_retries_total')) >= 3
      })
    }
    for (const enough of [12, 15, 20, 30]) {
      await until(`${enough} have signed up`, () => acknowledged.length >= enough)
      expectStored(path, [...acknowledged])
    }
    server.process.kill('SIGKILL')
    await load.stop()
    await server.stop()

    await using again = await startServer({ mode: 'serve', database })
    for (const email of acknowledged)
      expect([email, await loginOutcome(again.url, email)]).toEqual([email, 'LoggedIn'])
  })
})

/** Seen by another process: what is committed. */
function expectStored(path: string, emails: readonly string[]): void {
  using rows = new Database(path, { readonly: true })
  const stored = rows.query<{ email: string }, []>('SELECT email FROM users').all()
  const known = new Set(stored.map(({ email }) => email))
  expect(emails.filter((email) => !known.has(email))).toEqual([])
}

/** Codes that a client may get who signs up with an address that is being taken, on servers that are busy. */
const REFUSALS: ReadonlySet<unknown> = new Set(['EMAIL_TAKEN', 'OVERLOADED', 'SERVICE_UNAVAILABLE'])

/** What needs no database goes on; what needs it is refused and says when to come again. */
async function expectWithoutDatabase(server: Server, token: string, keys: string): Promise<void> {
  expect((await me(server, token)).data).toMatchObject({ me: { email: KIM.email } })
  expect((await ask(server.url, LOGIN, { token, variables: KIM })).data.login.__typename).toBe(
    'AlreadyLoggedIn',
  )
  expect(await jwks(server)).toBe(keys)
  expect((await fetch(`${server.url}/livez`)).status).toBe(200)
  expectRefused(await signup(server, { ...KIM, email: 'lee@example.com' }))
}

function expectRefused({ status, headers, errors }: Answer): void {
  expect(errors.map(({ extensions }) => extensions)).toMatchObject([
    { code: 'SERVICE_UNAVAILABLE', retryAfter: 1 },
  ])
  expect([status, headers.get('retry-after')]).toEqual([503, '1'])
}

/** After eight seconds a request is answered whatever it waits for: a database must have been given up before. */
function expectNoneGivenUp({ lines }: Server): void {
  const requests = lines.map((line) => JSON.parse(line)).filter((line) => 'route' in line)
  expect(requests.filter(({ ms }) => ms > 7_900)).toEqual([])
}

describe('a database that goes, and comes back', () => {
  test('a file that another process has locked', async () => {
    const { path, database } = newFile()
    await using server = await startServer({ mode: 'serve', database })
    const [token, keys] = [tokenOf(await signup(server)), await jwks(server)]
    await untilReadiness(server, READY)
    {
      await using _lock = await lockFile(path)
      await untilReadiness(server, NO_DATABASE)
      await expectWithoutDatabase(server, token, keys)
      // Reading is not hindered by who writes.
      const read = await ask(server.url, '{ me { createdAt } }', { token })
      expect(read.data.me.createdAt).toBeString()
      // A login writes its session.
      expectRefused(await login(server))
    }
    await untilReadiness(server, READY)
    expect((await signup(server, { ...KIM, email: 'lee@example.com' })).code).toBeUndefined()
  })

  const hasSqld = canRunSqld()

  test.skipIf(!hasSqld).each([
    ['does not answer', (sqld) => sqld.hang(), async (sqld) => sqld.goOn()],
    ['is gone', (sqld) => sqld.kill(), (sqld) => sqld.restart()],
  ] as const satisfies ReadonlyArray<[string, Act, Act]>)(
    'a server that %s',
    async (_, go, comeBack) => {
      await using sqld = await startSqld()
      await using server = await startServer({ mode: 'serve', database: sqld.url })
      const [token, keys] = [tokenOf(await signup(server)), await jwks(server)]
      await untilReadiness(server, READY)
      await go(sqld)
      await untilReadiness(server, NOTHING_READ)
      await expectWithoutDatabase(server, token, keys)
      expectRefused(await login(server))
      expectRefused(await ask(server.url, '{ me { createdAt } }', { token }))
      expectNoneGivenUp(server)
      await comeBack(sqld)
      await untilReadiness(server, READY)
      expect((await login(server)).data.login.__typename).toBe('LoggedIn')
      expect((await signup(server, { ...KIM, email: 'choi@example.com' })).code).toBeUndefined()
    },
  )

  test.skipIf(!hasSqld)(
    'while a server does not answer, those in line to write are refused together, not one after the other',
    async () => {
      await using sqld = await startSqld()
      await using server = await startServer({ mode: 'serve', database: sqld.url })
      sqld.hang()
      const emails = Array.from({ length: 20 }, (_, i) => `user-${i}@example.com`)
      const answers = await Promise.all(emails.map((email) => signup(server, { ...KIM, email })))
      answers.forEach(expectRefused)
      const logged = () => server.lines.filter((line) => line.includes('"route":"/graphql"'))
      await until('all are in the log', () => logged().length === 20)
      // One after the other they would take thirty seconds.
      expectNoneGivenUp(server)
    },
  )
})

type Act = (sqld: Awaited<ReturnType<typeof startSqld>>) => void | Promise<void>

describe('SIGTERM', () => {
  const draining = (seconds: number, env: Readonly<Record<string, string>> = {}) =>
    startServer({ mode: 'serve', env: { ...env, MUNJIGI_DRAIN_SECONDS: String(seconds) } })

  async function signal(server: Server): Promise<void> {
    server.process.kill('SIGTERM')
    await server.logged('server.draining')
  }

  const GOING_AWAY = { connection: 'close', 'x-envoy-immediate-health-check-fail': 'true' }
  const marksOf = (headers: Headers) =>
    Object.fromEntries(Object.keys(GOING_AWAY).map((name) => [name, headers.get(name)]))

  test('is told at once, by every answer, while service goes on', async () => {
    await using server = await draining(300)
    await signup(server)
    await signal(server)
    expect(await readiness(server)).toEqual([503, { status: 'unavailable', failing: ['draining'] }])
    const [loggedIn, refused] = [
      await login(server),
      await login(server, { email: '', password: '' }),
    ]
    expect([loggedIn.data.login.__typename, refused.code]).toEqual([
      'LoggedIn',
      'INVALID_CREDENTIALS',
    ])
    const others = ['/readyz', '/livez', '/.well-known/jwks.json', '/nothing', '/graphql'].map(
      (path) => fetch(server.url + path),
    )
    for (const { headers } of [loggedIn, refused, ...(await Promise.all(others))])
      expect(marksOf(headers)).toEqual(GOING_AWAY)
    server.process.kill('SIGINT')
  })

  test('a second one, or an interrupt, ends the process at once', async () => {
    await using server = await draining(300)
    await signal(server)
    // As somebody would who waits in vain: within half a second of the first it is taken for the same.
    await until('it has ended', () => {
      server.process.kill('SIGTERM')
      return server.process.exitCode !== null
    })
    await using interrupted = await draining(300)
    await signal(interrupted)
    interrupted.process.kill('SIGINT')
    const codes = [server, interrupted].map(({ process }) => process.exited)
    expect(await Promise.all(codes)).toEqual([130, 130])
  })

  test('an interrupt does the same', async () => {
    const server = await draining(0)
    server.process.kill('SIGINT')
    expect(await server.process.exited).toBe(0)
    expect(await server.logged('server.draining')).toMatchObject({ signal: 'SIGINT' })
    await server.stop()
  })

  /** So many hashes at once, and so few in line, that on a slow machine too nobody waits in vain. */
  const WIDE = { MUNJIGI_PASSWORD_HASH_CONCURRENCY: '8' }

  test('logins and signups that are running or in line are finished, though the port closes at once', async () => {
    const server = await draining(0, WIDE)
    await signup(server)
    // A login has read its row before its hash; a signup needs the database afterwards.
    const answers = Array.from({ length: 10 }, (_, i) =>
      i % 2 === 0 ? login(server) : signup(server, { ...KIM, email: `user-${i}@example.com` }),
    )
    let answered = 0
    for (const answer of answers) void answer.then(() => (answered += 1))
    await until('all have been at work or in line', async () => {
      // From the last state to the first, so that nobody who moves on meanwhile counts twice.
      const done = answered
      const running = await metric(server, 'munjigi_password_hash_running')
      const waiting = await metric(server, 'munjigi_password_hash_waiting')
      return done + running + waiting >= answers.length
    })
    await signal(server)
    for (const { status, text } of await Promise.all(answers))
      expect([status, text]).toEqual([200, expect.stringContaining('"accessToken":"ey')])
    expect(await server.process.exited).toBe(0)
    await server.stop()
    expect(JSON.parse(server.lines.at(-1) ?? '')).toMatchObject({ event: 'server.stopped' })
  })

  test('under load, every request that was begun is answered with 200, and then the port is closed', async () => {
    const server = await draining(1, WIDE)
    const token = tokenOf(await signup(server))
    const answers: Answer[] = []
    const failures: unknown[] = []
    /** Goes on as long as anybody listens, as a client would that has not been told. */
    const stubborn = async (send: () => Promise<Answer>) => {
      try {
        for (;;) answers.push(await send())
      } catch (error) {
        failures.push(error)
      }
    }
    /** Turns away when it is told to, as the edge does: then nothing may fail. */
    const polite = async (send: () => Promise<Answer>) => {
      for (let told = false; !told; ) {
        const answer = await send()
        answers.push(answer)
        told = answer.headers.has('x-envoy-immediate-health-check-fail')
      }
    }
    const politeOnes = Array.from({ length: 6 }, (_, i) =>
      polite(() => (i % 3 === 0 ? login(server) : me(server, token))),
    )
    const stubbornOnes = Array.from({ length: 6 }, (_, i) =>
      stubborn(() => (i % 3 === 0 ? login(server) : me(server, token))),
    )
    await until('the load is on', () => answers.length > 100)
    await signal(server)
    const before = answers.length
    await Promise.all(politeOnes)
    await Promise.all(stubbornOnes)
    expect(await server.process.exited).toBe(0)
    await server.stop()

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    // Twelve were under way when the signal came; whatever came later has the marks.
    const later = answers.slice(before + 12).map(({ headers }) => marksOf(headers))
    expect(later.length).toBeGreaterThan(12)
    expect(later).toEqual(later.map(() => GOING_AWAY))
    expect(failures).toHaveLength(6)
    // What the server has begun, the clients have got: nobody's answer was lost.
    const begun = server.lines.filter((line) => line.includes('"route":"/graphql"'))
    expect(begun).toHaveLength(answers.length + 1)
  })

  test('connections are closed after their answer, and idle ones do not hold the process', async () => {
    await using server = await draining(1)
    const [idle, used] = [await connect(targetOf(server)), await connect(targetOf(server))]
    for (const connection of [idle, used]) {
      const { status, headers } = await connection.send(request('GET', '/livez'))
      expect([status, headers['connection']]).toEqual([200, undefined])
    }
    await signal(server)
    const { status, headers } = await used.send(request('GET', '/livez'))
    expect([status, headers['connection']]).toEqual([200, 'close'])
    await Promise.all([used.closed, idle.closed])
    expect(await server.process.exited).toBe(0)
  })

  test('a request that never ends does not hold the process longer than operators allow it', async () => {
    await using server = await draining(0)
    const head = 'POST /graphql HTTP/1.1\r\nhost: munjigi\r\n'
    const halves = [
      '',
      head,
      `${head}content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"query":`,
    ]
    for (const half of halves) (await connect(targetOf(server))).write(half)
    // Known to have been read, as what was sent before on another connection.
    await readiness(server)
    const started = performance.now()
    await signal(server)
    expect(await server.process.exited).toBe(0)
    // docs/operations.md: 15 s with a drain of 6. Here there is none: what is left is for a busy machine.
    expect((performance.now() - started) / 1_000).toBeLessThan(15)
  })
})

describe('a proxy that the environment names', () => {
  test.skipIf(!canRunSqld())('is not shown what goes to a server unencrypted', async () => {
    const asked: string[] = []
    await using proxy = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch(request) {
        asked.push(request.url)
        return new Response(null, { status: 502 })
      },
    })
    await using sqld = await startSqld()
    // Docker gives them to every container where a proxy is configured for it.
    const env = { HTTP_PROXY: proxy.url.href, http_proxy: proxy.url.href }
    await using server = await startServer({ mode: 'serve', database: sqld.url, env })
    expect((await signup(server)).data.signup.user.email).toBe(KIM.email)
    expect(asked).toEqual([])
  })
})

describe('the health check of the image', () => {
  const dockerfile = readFileSync(join(import.meta.dir, '..', 'Dockerfile'), 'utf8')
  const [, command = ''] = /HEALTHCHECK .*\\\n +CMD (.+)/.exec(dockerfile) ?? []
  const [, ...args] = JSON.parse(command) as string[]
  const check = (env: Record<string, string>) =>
    Bun.spawn([process.execPath, ...args], { env, stderr: 'ignore' }).exited

  test.each(['MUNJIGI_PORT', 'PORT'])('asks at the port of %s', async (name) => {
    const env = { [name]: String(freePort()) }
    await using server = await startServer({ mode: 'serve', env: { MUNJIGI_PORT: '', ...env } })
    expect(await check(env)).toBe(0)
    // Docker gives containers its own proxy, which does not know this one's loopback.
    expect(await check({ ...env, HTTP_PROXY: 'http://127.0.0.1:1' })).toBe(0)
    await server.stop()
    expect(await check(env)).toBe(1)
  })
})

describe('dev, on a terminal', () => {
  /** What it says until it serves. */
  async function said(env: Readonly<Record<string, string>>): Promise<string> {
    let text = ''
    const dev = Bun.spawn([process.execPath, '--no-env-file', 'src/main.ts', 'dev'], {
      cwd: join(import.meta.dir, '..'),
      env: {
        MUNJIGI_DATABASE_URL: newFile().database,
        ...{ MUNJIGI_PORT: '0', MUNJIGI_METRICS_PORT: '0' },
        ...env,
      },
      terminal: {
        data(_, bytes) {
          text += new TextDecoder().decode(bytes)
        },
      },
    })
    await until('it serves', () => text.includes('server.started'))
    dev.kill('SIGTERM')
    expect(await dev.exited).toBe(0)
    return text
  }

  test.each([
    ['is in bold', { TERM: 'xterm' }, true],
    ['is plain where colours are not wanted', { TERM: 'xterm', NO_COLOR: '1' }, false],
    ['is plain where the terminal knows none', { TERM: 'dumb' }, false],
  ] as const)('%s', async (_, env, isBold) => {
    expect((await said(env)).includes('\u001b[1m')).toBe(isBold)
  })
})

describe('a start that fails', () => {
  const settings = (): Record<string, string> => ({
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
    MUNJIGI_SECRET: TEST_SECRET,
    MUNJIGI_ISSUER_URL: TEST_ISSUER,
    MUNJIGI_DATABASE_URL: newFile().database,
  })

  test.each(['serve', 'dev'])(
    '%s: wrong settings end it with 78, all of them listed, no value shown',
    async (command) => {
      const { path, database } = newFile()
      const unreadable = join(folder, 'sentinel-file')
      const { exitCode, stdout, stderr } = await startProgram([command], {
        MUNJIGI_SECRET: 'sentinel-short',
        MUNJIGI_DATABASE_AUTH_TOKEN_FILE: unreadable,
        MUNJIGI_ISSUER_URL: 'sentinel-issuer',
        MUNJIGI_PORT: 'sentinel-port',
        MUNJIGI_DRAIN_SECONDS: 'sentinel-drain',
        MUNJIGI_SIGNING_ALGORITHM: 'sentinel-algorithm',
        MUNJIGI_SECRET_TOKEN: 'sentinel-unknown',
        MUNJIGI_DATABASE_URL: database,
      }).ended
      expect([exitCode, stdout]).toEqual([78, ''])
      const [title, ...faults] = stderr.trimEnd().split('\n')
      expect(title).toBe('Configuration has 7 problem(s):')
      expect(faults.map((line) => line.split(':')[0]?.trim()).sort()).toEqual([
        'MUNJIGI_DATABASE_AUTH_TOKEN_FILE',
        'MUNJIGI_DRAIN_SECONDS',
        'MUNJIGI_ISSUER_URL',
        'MUNJIGI_PORT',
        'MUNJIGI_SECRET',
        'MUNJIGI_SECRET_TOKEN',
        'MUNJIGI_SIGNING_ALGORITHM',
      ])
      expect(stderr).not.toContain('sentinel')
      expect(existsSync(path)).toBe(false)
    },
  )

  test('serve without settings names the two that it cannot do without', async () => {
    const { exitCode, stderr } = await startProgram(['serve'], {}).ended
    expect(exitCode).toBe(78)
    expect(stderr).toMatch(/MUNJIGI_SECRET: .*\n.*MUNJIGI_ISSUER_URL: /)
  })

  test('another secret than before ends it with 78, and shows neither', async () => {
    const env = settings()
    const server = await startServer({
      mode: 'serve',
      env,
      database: env['MUNJIGI_DATABASE_URL'] ?? '',
    })
    await server.stop()
    const other = 'sentinel of another secret, long enough'
    const { exitCode, stdout, stderr } = await startProgram(['serve'], {
      ...env,
      MUNJIGI_SECRET: other,
    }).ended
    expect(exitCode).toBe(78)
    expect(stderr).toContain('MUNJIGI_SECRET')
    expect(stdout + stderr).not.toContain('sentinel')
    expect(stdout + stderr).not.toContain(TEST_SECRET)
  })

  test.each(['MUNJIGI_PORT', 'MUNJIGI_METRICS_PORT'])(
    'serve: %s that is taken ends it with 69',
    async (name) => {
      using taken = takePort()
      const env = { ...settings(), [name]: String(taken.port) }
      const { exitCode, stderr } = await startProgram(['serve'], env).ended
      expect(exitCode).toBe(69)
      expect(stderr).toContain(`port ${taken.port} is already in use`)
    },
  )

  test('serve: a port that another of ours has is taken as well', async () => {
    await using first = await startServer({ mode: 'serve' })
    const env = { ...settings(), MUNJIGI_PORT: new URL(first.url).port }
    expect((await startProgram(['serve'], env).ended).exitCode).toBe(69)
  })

  test.each([
    ['no Host', 'GET /readyz HTTP/1.0\r\n\r\n'],
    ['an empty Host', 'GET /readyz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
    ['a Host that is none', 'GET /readyz HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n'],
  ])('a probe with %s is answered', async (_, head) => {
    await using server = await startServer({ mode: 'serve' })
    expect((await sendOnce(targetOf(server), head)).status).toBe(200)
    expect(server.lines.join()).not.toContain('request.failed')
  })

  test('dev moves on to the next free port, says so, and signs with it', async () => {
    using taken = takePort()
    using takenToo = takePort()
    const env = { MUNJIGI_PORT: String(taken.port), MUNJIGI_METRICS_PORT: String(takenToo.port) }
    await using server = await startServer({ mode: 'dev', env })
    const { port } = new URL(server.url)
    expect(Number(port)).toBeGreaterThan(taken.port)
    expect(server.lines.join('\n')).toContain(`port ${taken.port} is taken, so this is ${port}`)
    const [, claims = ''] = tokenOf(await signup(server)).split('.')
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString()).iss).toBe(server.url)
    expect(Number(new URL(server.metricsUrl).port)).toBeGreaterThan(takenToo.port)
  })

  test.each<[string, () => string]>([
    ['a server that nobody runs', () => `http://127.0.0.1:${freePort()}`],
    ['a file that is no database', () => `file:${garbage()}`],
    ['a folder', () => `file:${folder}`],
  ])(
    'serve: %s for a database ends it with 69 and says that it is the database',
    async (_, url) => {
      const token = 'sentinel of the token'
      const env = { ...settings(), MUNJIGI_DATABASE_URL: url(), MUNJIGI_DATABASE_AUTH_TOKEN: token }
      const { exitCode, stdout, stderr } = await startProgram(['serve'], env).ended
      expect(stdout + stderr).not.toContain('sentinel')
      expect(stderr).toContain('database')
      expect(exitCode).toBe(69)
    },
  )

  test.each([[['start']], [['serve', '--port', '80']], [['dev', 'serve']]])(
    '%j is no command: 64',
    async (args) => {
      const { exitCode, stderr } = await startProgram(args, settings()).ended
      expect(exitCode).toBe(64)
      expect(stderr).toMatch(/^error: (unknown command|unknown option|too many arguments)/)
    },
  )
})

function garbage(): string {
  const path = join(folder, 'garbage.db')
  writeFileSync(path, 'no database at all. '.repeat(1_000))
  return path
}

function takePort() {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  return { port: listener.port, [Symbol.dispose]: () => listener.stop(true) }
}
