// Sessions and signing keys over real processes: three replicas on one database, and the command line beside them.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { KIM, LOGIN, ME, SIGNUP } from '../src/testing/app.ts'
import type { Answer } from './ask.ts'
import { ask } from './ask.ts'
import { graphqlRequest } from './http-client.ts'
import type { Server } from './server.ts'
import { startServer, TEST_SECRET } from './server.ts'
import { until } from './until.ts'

const ROOT = join(import.meta.dir, '..')
const PASSWORD = KIM.password
const REFRESH =
  'mutation Refresh($t: String!) { refresh(refreshToken: $t) { accessToken refreshToken } }'

setDefaultTimeout(60_000)

const SETTINGS = {
  MUNJIGI_JWKS_MAX_AGE: '1s',
  // Whoever has guessed too often must still wait when a slow machine gets to the next guess.
  MUNJIGI_THROTTLE_USER_DELAY: '1h',
  MUNJIGI_THROTTLE_USER_MAX_DELAY: '1h',
}
/** So that keys come and go within the test. Elsewhere a token that is refused must not have expired. */
const SHORT_LIVES = { ...SETTINGS, MUNJIGI_ACCESS_TOKEN_TTL: '10s' }

interface Tokens {
  accessToken: string
  refreshToken: string
}

let folder = ''
let database = ''
let replicas: Server[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'munjigi-sessions-'))
  database = `file:${join(folder, 'munjigi.db')}`
  replicas = await startThree(database, SETTINGS)
})

afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()))
  rmSync(folder, { recursive: true, force: true })
})

function startThree(url: string, env: Record<string, string>): Promise<Server[]> {
  const start = () => startServer({ mode: 'serve', database: url, env })
  return Promise.all([start(), start(), start()])
}

function run(
  replica: Server | undefined,
  query: string,
  variables = {},
  token?: string,
): Promise<Answer> {
  return ask(`${replica?.url}`, query, { variables, token })
}

async function signup(replica: Server | undefined, email: string): Promise<Tokens> {
  return (await run(replica, SIGNUP, { email, password: PASSWORD })).data.signup.tokens
}

/** Sends a request and closes the connection: whoever reads it finds both at once. */
async function askAndLeave(replica: Server | undefined, query: string, variables = {}) {
  const { hostname, port } = new URL(`${replica?.url}`)
  const socket = connect(Number(port), hostname)
  const bytes = graphqlRequest({ query, variables }, { 'user-agent': 'leaves' })
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
  socket.destroy()
}

async function knownAddresses(): Promise<number> {
  const client = createClient({ url: database })
  const { rows } = await client.execute('SELECT count(*) AS n FROM known_addresses')
  client.close()
  return Number(rows[0]?.['n'])
}

/** The command line, as an operator calls it. */
function munjigi(args: readonly string[], input = '', env: Record<string, string> = SETTINGS) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, '--no-env-file', 'src/main.ts', ...args],
    {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        MUNJIGI_DATABASE_URL: database,
        MUNJIGI_SECRET: TEST_SECRET,
        ...env,
      },
      stdin: Buffer.from(input),
    },
  )
  return { exitCode, output: stdout.toString(), complaint: stderr.toString() }
}

describe('three replicas', () => {
  test('give one successor to fifty refreshes at once', async () => {
    const { refreshToken } = await signup(replicas[0], 'fifty@example.com')
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => run(replicas[i % 3], REFRESH, { t: refreshToken })),
    )
    const successors = new Set(answers.map(({ data }) => data?.refresh?.refreshToken))
    expect([...successors]).toEqual([expect.stringMatching(/^mjr_/)])
    expect([...successors]).not.toEqual([refreshToken])
  })

  test('all refuse the access token of a session that ended on one of them', async () => {
    const { accessToken } = await signup(replicas[0], 'ended@example.com')
    const [first, ...others] = replicas
    await run(first, 'mutation { logout { sessions } }', {}, accessToken)
    const refused = async (replica: Server) =>
      (await run(replica, ME, {}, accessToken)).code === 'UNAUTHENTICATED'
    expect(await refused(first as Server)).toBe(true)
    for (const replica of others) await until('it is refused there too', () => refused(replica))
  })

  test('end no session for a request that one of them, which stood still, finds after its client has gone on', async () => {
    const { refreshToken } = await signup(replicas[0], 'paused@example.com')
    const [still, other] = replicas
    let newest = refreshToken
    still?.process.kill('SIGSTOP')
    try {
      await askAndLeave(still, REFRESH, { t: refreshToken })
      for (let i = 0; i < 2; i += 1)
        newest = (await run(other, REFRESH, { t: newest })).data.refresh.refreshToken
    } finally {
      still?.process.kill('SIGCONT')
    }
    await still?.logged('http.request', ({ userAgent }) => userAgent === 'leaves')
    expect((await run(other, REFRESH, { t: newest })).code).toBeUndefined()
  })

  test('refuse no token through ten rotations of the signing key, and show its key while it lives', async () => {
    const url = `file:${join(folder, 'rotation.db')}`
    const env = { ...SHORT_LIVES, MUNJIGI_DATABASE_URL: url }
    const three = await startThree(url, SHORT_LIVES)
    const { refreshToken } = await signup(three[0], 'rotation@example.com')
    let tokens = { refreshToken, accessToken: '' }
    let rotations = 0
    let refusals = 0
    let hidden = 0
    const kids = new Set<string>()
    for (let i = 0; rotations < 10; i += 1) {
      tokens = (await run(three[i % 3], REFRESH, { t: tokens.refreshToken })).data.refresh
      const kid = JSON.parse(
        Buffer.from(tokens.accessToken.split('.')[0] ?? '', 'base64url').toString(),
      ).kid
      kids.add(kid)
      for (const replica of three) {
        const jwks = (await (await fetch(`${replica.url}/.well-known/jwks.json`)).json()) as {
          keys: Array<{ kid: string }>
        }
        if (!jwks.keys.some((key) => key.kid === kid)) hidden += 1
        if ((await run(replica, ME, {}, tokens.accessToken)).code) refusals += 1
      }
      if (i % 5 === 0 && munjigi(['keys', 'rotate'], '', env).exitCode === 0) rotations += 1
    }
    await Promise.all(three.map((replica) => replica.stop()))
    expect({ refusals, hidden }).toEqual({ refusals: 0, hidden: 0 })
    expect(kids.size).toBeGreaterThanOrEqual(8)
  }, 240_000)

  test('forget a key that was dropped, with every token it signed', async () => {
    const { accessToken, refreshToken } = await signup(replicas[0], 'leak@example.com')
    const kid = JSON.parse(Buffer.from(accessToken.split('.')[0] ?? '', 'base64url').toString()).kid
    expect(munjigi(['keys', 'drop', kid]).exitCode).toBe(0)
    for (const replica of replicas)
      await until('its tokens are refused', async () => {
        return (await run(replica, ME, {}, accessToken)).code !== undefined
      })
    const { data } = await run(replicas[1], REFRESH, { t: refreshToken })
    expect((await run(replicas[2], ME, {}, data.refresh.accessToken)).code).toBeUndefined()
    expect(munjigi(['keys', 'drop', kid])).toMatchObject({ exitCode: 1, output: '' })
  })
})

describe('an operator', () => {
  beforeAll(() => signup(replicas[0], 'short@example.com'))

  test('ends the sessions of a user', async () => {
    const { refreshToken } = await signup(replicas[0], 'laptop@example.com')
    const { exitCode, output } = munjigi([
      'sessions',
      'end',
      '--user',
      'Laptop@Example.com',
      '--json',
    ])
    expect([exitCode, JSON.parse(output)]).toEqual([0, { sessions: 1 }])
    expect((await run(replicas[1], REFRESH, { t: refreshToken })).code).toBe(
      'INVALID_REFRESH_TOKEN',
    )
  })

  test('lets in a user whom somebody has shut out by guessing, with a new password', async () => {
    const email = 'shelf@example.com'
    await signup(replicas[0], email)
    const codeOf = async (replica: Server | undefined, password: string) =>
      (await run(replica, LOGIN, { email, password })).code
    const codes: unknown[] = []
    for (let i = 0; i < 11; i += 1) codes.push(await codeOf(replicas[0], 'wrong horse battery'))
    expect(codes.at(-1)).toBe('RATE_LIMITED')
    expect(munjigi(['users', 'set-password', email], 'a new long password\n').exitCode).toBe(0)
    // Another replica: the first one remembers its refusal for a second.
    expect(await codeOf(replicas[1], 'a new long password')).toBeUndefined()
  })

  test('disables a user, enables, gives a new password, shows and deletes them', async () => {
    const email = 'desk@example.com'
    await signup(replicas[0], email)
    const login = async (password: string) =>
      (await run(replicas[1], LOGIN, { email, password })).code
    expect(munjigi(['users', 'disable', email]).exitCode).toBe(0)
    expect(await login(PASSWORD)).toBe('INVALID_CREDENTIALS')
    expect(munjigi(['users', 'enable', email]).exitCode).toBe(0)
    expect(await login(PASSWORD)).toBeUndefined()
    expect(munjigi(['users', 'set-password', email], 'a new long password\n').exitCode).toBe(0)
    expect(await login(PASSWORD)).toBe('INVALID_CREDENTIALS')
    expect(await login('a new long password')).toBeUndefined()
    const shown = JSON.parse(munjigi(['users', 'show', email, '--json']).output)
    expect(shown).toMatchObject({
      email,
      disabledAt: null,
      sessions: [{ clientAddress: '127.0.0.1' }],
    })
    expect(JSON.stringify(shown)).not.toContain('argon2')
    expect(munjigi(['users', 'list', '--json']).output).toContain(email)
    expect(munjigi(['users', 'delete', email]).exitCode).toBe(1)
    const before = await knownAddresses()
    expect(munjigi(['users', 'delete', email, '--yes']).exitCode).toBe(0)
    expect(await knownAddresses()).toBe(before - 1)
    expect(munjigi(['users', 'show', email]).exitCode).toBe(1)
  })

  test('sees a signing key that no secret opens, and drops it; until then nothing else is done', async () => {
    const client = createClient({ url: database, timeout: 5_000 })
    await client.execute(
      `INSERT INTO signing_keys (kid, algorithm, sealed_private_jwk, created_at, signs_from)
       VALUES ('foreign', 'ES256', 'sealed elsewhere', 0, 9e99)`,
    )
    client.close()
    expect(munjigi(['keys', 'list']).output).toMatch(/^foreign +– +unreadable +– +–$/m)
    const shown = JSON.parse(munjigi(['keys', 'list', '--json']).output)
    expect(shown).toContainEqual({ kid: 'foreign', stage: 'unreadable' })
    for (const others of [
      ['keys', 'rotate'],
      ['keys', 'drop', shown[0].kid],
      ['users', 'list'],
    ])
      expect(munjigi(others)).toMatchObject({
        exitCode: 78,
        complaint: expect.stringContaining('munjigi keys list'),
      })
    expect(munjigi(['keys', 'drop', 'foreign']).exitCode).toBe(0)
    expect(munjigi(['keys', 'list']).output).not.toContain('foreign')
    expect(munjigi(['users', 'list']).exitCode).toBe(0)
  })

  test.each([
    [['users', 'set-password', 'short@example.com'], 'short\n', 1, 'too_short'],
    [['users', 'show', 'nobody@example.com'], '', 1, 'no user'],
    [['users', 'shwo', 'x'], '', 64, 'unknown command'],
    [['keys', 'list', '--jsno'], '', 64, 'Did you mean --json?'],
    [['sessions', 'end'], '', 64, '--user'],
    [['users', 'list', '--limit', 'many'], '', 64, 'whole number'],
  ])('who calls %p is told what is wrong', (args, input, code, words) => {
    const { exitCode, complaint } = munjigi(args, input)
    expect(exitCode).toBe(code)
    expect(complaint).toContain(words)
    expect(complaint).not.toMatch(/\n\s+at /)
  })

  test('is shown help that begins with what there is', () => {
    const { exitCode, output } = munjigi(['users', '--help'])
    expect(exitCode).toBe(0)
    expect(output).toContain('set-password')
  })
})
