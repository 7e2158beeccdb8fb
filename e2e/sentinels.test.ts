// What must not come out does not come out: unmistakable secrets go in by every door, everything that can fail is made to
// fail, and then all that was written, answered, counted and stored is searched for them.

import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ERRORS } from '../src/errors.ts'
import { unseal } from '../src/keys/seal.ts'
import { deriveKey } from '../src/platform/digest.ts'
import { systemCode } from '../src/platform/system-error.ts'
import { LOGIN, SIGNUP } from '../src/testing/app.ts'
import { canRunSqld, lockFile, startSqld } from './database.ts'
import type { Program } from './program.ts'
import { startProgram } from './program.ts'
import { until } from './until.ts'

setDefaultTimeout(120_000)

/** Each begins with what is searched for, so that a value that is cut is found too. */
const RIGHT = 'zq7right4711 horse battery'
const WRONG = 'zq7wrong4711 horse battery'
const SHORT = 'zq7shrt'
const NUMBER = 471_108_154_711
const SECRET = 'zq7secret4711 of more than thirty-two bytes'
const AUTH_TOKEN = 'zq7authtoken4711'
const EMAIL = 'zq7kim4711@example.com'
const UNKNOWN = 'zq7nobody4711@example.com'
const LEAVING = 'zq7choi4711@example.com'
const NEW = 'zq7newpw4711 horse battery'
const GARBAGE = 'zq7garbage4711'

/** Breaks a line, or a terminal, if it gets through. */
const INJECTION =
  'zq7\r\n{"time":"x","level":"info","event":"forged"}\n\u001b[31m\u2028\u2029\u0085'

/** An answer as it came, by whatever way. */
interface Heard {
  readonly head: string
  readonly body: string
}

/** A place for the data, and the ways to spoil it. */
interface Layout extends AsyncDisposable {
  readonly url: string
  /** Where its files are. */
  readonly folder: string
  execute(statement: string): Promise<void>
  rows(query: string): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>>
  /** Takes it away while `work` runs. */
  without(work: () => Promise<void>): Promise<void>
}

async function fileLayout(): Promise<Layout> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-sentinels-'))
  const path = join(folder, 'munjigi.db')
  const withDatabase = <T>(work: (database: Database) => T): T => {
    using database = new Database(path)
    database.exec('PRAGMA busy_timeout = 5000')
    return work(database)
  }
  return {
    url: `file:${path}`,
    folder,
    execute: async (statement) => withDatabase((database) => void database.run(statement)),
    rows: async (query) =>
      withDatabase((database) => database.query<Record<string, unknown>, []>(query).all()),
    async without(work) {
      await using _lock = await lockFile(path)
      await work()
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true })
    },
  }
}

async function serverLayout(): Promise<Layout> {
  const sqld = await startSqld()
  const pipeline = async (sql: string) => {
    const requests = [{ type: 'execute', stmt: { sql } }, { type: 'close' }]
    const init = { method: 'POST', body: JSON.stringify({ requests }) }
    const answer = await (await fetch(`${sqld.url}/v2/pipeline`, init)).json()
    return (answer as PipelineAnswer).results[0].response.result
  }
  return {
    url: sqld.url,
    folder: sqld.folder,
    execute: async (statement) => void (await pipeline(statement)),
    async rows(query) {
      const { cols, rows } = await pipeline(query)
      return rows.map((row) =>
        Object.fromEntries(row.map(({ value }, i) => [cols[i]?.name, value])),
      )
    },
    async without(work) {
      sqld.hang()
      await work()
      await sqld.kill()
      await work()
      await sqld.restart()
    },
    [Symbol.asyncDispose]: () => sqld[Symbol.asyncDispose](),
  }
}

interface PipelineAnswer {
  readonly results: readonly [
    {
      readonly response: {
        readonly result: {
          readonly cols: ReadonlyArray<{ readonly name: string }>
          readonly rows: ReadonlyArray<ReadonlyArray<{ readonly value: unknown }>>
        }
      }
    },
  ]
}

/** A `serve` that believes its peers, so that more of what they send gets in. */
async function startServe(layout: Layout) {
  const program = startProgram(['serve'], {
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
    MUNJIGI_SECRET: SECRET,
    MUNJIGI_ISSUER_URL: 'https://auth.example.com',
    MUNJIGI_DATABASE_URL: layout.url,
    MUNJIGI_DATABASE_AUTH_TOKEN: AUTH_TOKEN,
    MUNJIGI_LOG_LEVEL: 'debug',
    MUNJIGI_DRAIN_SECONDS: '0',
    MUNJIGI_TRUSTED_PEERS: '127.0.0.0/8',
    MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-envoy-external-address',
    // With as many as a large machine has cores, a crowd would be let in as a whole.
    MUNJIGI_PASSWORD_HASH_CONCURRENCY: '2',
  })
  const started = () =>
    program.output.stdout.split('\n').find((line) => line.includes('"server.started"'))
  await until(`it starts: ${program.output.stderr}`, () => started() !== undefined)
  const { url, metrics } = JSON.parse(started() ?? '{}')
  return { program, url: String(url), metricsUrl: String(metrics) }
}

/** Sends things, and remembers every answer. */
function createClient(url: string) {
  const heard: Heard[] = []
  const sent: string[] = []
  return { heard, sent, send, post, raw }

  async function send(path: string, init: RequestInit = {}): Promise<string> {
    const response = await fetch(url + path, init)
    const head = [response.status, ...[...response.headers].map((entry) => entry.join(': '))]
    const body = await response.text()
    heard.push({ head: head.join('\n'), body })
    return body
  }

  /** Sends a body to /graphql, as JSON unless it is a text. */
  async function post(body: unknown, headers: Record<string, string> = {}): Promise<string> {
    sent.push(textOf(body))
    return await send('/graphql', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
        ...headers,
      },
      body: textOf(body),
    })
  }

  /** Sends bytes as they are and hears what comes until the server closes; with `hangUp` does not wait for it. */
  async function raw(bytes: string, hangUp = false): Promise<void> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => {})
    socket.write(Buffer.from(bytes, 'latin1'), () => hangUp && socket.destroy())
    await new Promise((resolve) => socket.once('close', resolve))
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    heard.push({ head, body })
  }
}

const textOf = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body))

type Client = ReturnType<typeof createClient>

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const tokenIn = (body: string): string => /"accessToken":"([^"]+)"/.exec(body)?.[1] ?? ''
const refreshTokenIn = (body: string): string => /"refreshToken":"([^"]+)"/.exec(body)?.[1] ?? ''

/** Everything goes right. Returns a token that was issued. */
async function goRight({ post }: Client): Promise<string> {
  const variables = { email: EMAIL, password: RIGHT }
  const token = tokenIn(await post({ query: SIGNUP, variables }))
  await post({ query: LOGIN, variables })
  await post({ query: login(JSON.stringify(EMAIL), JSON.stringify(RIGHT)) })
  await post({ query: '{ me { id email createdAt } }' }, bearer(token))
  await post({ query: LOGIN, variables }, bearer(token))
  return token
}

const login = (email: string, password: string) =>
  `mutation { login(email: ${email}, password: ${password}) { ... on LoggedIn { tokens { accessToken } } } }`

/** Secrets in the wrong place, in every shape that is refused. */
async function goWrong(client: Client, token: string): Promise<void> {
  const { post, send, raw } = client
  const [email, password] = [JSON.stringify(EMAIL), JSON.stringify(RIGHT)]
  const variables = { email: EMAIL, password: RIGHT }

  // Credentials that are wrong, or not acceptable
  await post({ query: SIGNUP, variables })
  await post({ query: LOGIN, variables: { email: EMAIL, password: WRONG } })
  await post({ query: LOGIN, variables: { email: UNKNOWN, password: RIGHT } })
  await post({ query: LOGIN, variables: { email: RIGHT, password: EMAIL } })
  for (const weak of [SHORT, `${RIGHT}${'x'.repeat(1_100)}`, `${RIGHT}\ud800`])
    await post({ query: SIGNUP, variables: { email: UNKNOWN, password: weak } })
  for (const malformed of [GARBAGE, `${UNKNOWN}\0`, `${UNKNOWN}${'x'.repeat(300)}`])
    await post({ query: SIGNUP, variables: { email: malformed, password: RIGHT } })

  // Variables and literals of a wrong kind
  const wrong = [
    NUMBER,
    { value: RIGHT },
    { [RIGHT]: 1 },
    [RIGHT],
    [[RIGHT]],
    true,
    null,
    undefined,
  ]
  for (const value of wrong) {
    await post({ query: LOGIN, variables: { email: EMAIL, password: value } })
    await post({ query: LOGIN, variables: { email: value, password: RIGHT } })
  }
  const literals = [String(NUMBER), 'zq7right4711', '{ value: "zq7right4711" }', `[[${password}]]`]
  for (const literal of [
    ...literals,
    RIGHT,
    `"${RIGHT}`,
    `"""${RIGHT}`,
    `"${RIGHT}\\u{110000}"`,
    `'${RIGHT}'`,
  ])
    await post({ query: login(email, literal) })
  await post({ query: `query Q { me { id } } ${RIGHT}` })
  await post({ query: `query Q($p: String = ${NUMBER}) { me { id } }` })
  await post({ query: '{ me { id } }', variables: RIGHT })
  await post({ query: '{ me { id } }', variables: [RIGHT] })
  await post({ query: '{ me { id } }', extensions: RIGHT })
  await post({ query: NUMBER, variables })
  await post({ query: LOGIN, variables, operationName: RIGHT })
  await post({ query: LOGIN, variables, operationName: [RIGHT] })
  await post([{ query: LOGIN, variables }])
  await post(RIGHT)
  await post(`{"query": ${JSON.stringify(LOGIN)}, "variables": {"password": "${RIGHT}`)
  await post(`{"query": "{ me { id } }", "variables": {"password": ${RIGHT}}}`)
  await post(`{"password": "${RIGHT}\n"}`)

  // Too much
  await post({
    query: `mutation { a: ${login(email, password).slice(11, -1)} b: ${login(email, password).slice(11, -1)} }`,
  })
  await post({
    query: `{ me { id } } ${`# ${RIGHT}\n`.repeat(3)} ${'query Q { me { id } } '.repeat(300)}`,
  })
  await post({ query: LOGIN, variables: { email: EMAIL, password: RIGHT.repeat(10_000) } })

  // The wrong way in
  const form = new URLSearchParams(variables).toString()
  await post(form, { 'content-type': 'application/x-www-form-urlencoded' })
  await post({ query: LOGIN, variables }, { 'content-type': `text/${GARBAGE}` })
  await post({ query: LOGIN, variables }, { 'content-encoding': GARBAGE })
  await send(`/graphql?${form}`)
  await send(`/${GARBAGE}?${form}`)
  await send(`/${encodeURIComponent(RIGHT)}/${token}`, { headers: bearer(token) })
  await send('/readyz', { headers: { cookie: `token=${token}` } })

  // Tokens that are not good
  const [header, payload, signature = ''] = token.split('.')
  const tampered = `${header}.${payload}.${[...signature].reverse().join('')}`
  const unsigned = `${header}.${payload}.`
  for (const bad of [GARBAGE, tampered, unsigned, `${token}x`, `${GARBAGE}${'A'.repeat(9_000)}`]) {
    await post({ query: '{ me { id } }' }, bearer(bad))
    await post({ query: '{ me { id } }' }, { authorization: `Basic ${bad}` })
  }
  await post({ query: '{ me { id } }' })

  // Clients that break off, and that speak no HTTP
  const head = `POST /graphql HTTP/1.1\r\nhost: munjigi\r\ncontent-type: application/json\r\nauthorization: Bearer ${token}\r\n`
  await raw(`${head}content-length: 1000\r\n\r\n{"query":"${RIGHT}`, true)
  await raw(`${head}transfer-encoding: chunked\r\n\r\nzq7right4711\r\n`)
  await raw(`${RIGHT} ${token}\r\n\r\n`)
}

/** Sessions are opened, refreshed, reused and ended, with tokens and passwords that are good, bad, and in the wrong place. */
async function useSessions({ post }: Client): Promise<void> {
  const variables = { email: LEAVING, password: RIGHT }
  const refresh = (refreshToken: unknown) => post({ query: REFRESH, variables: { refreshToken } })
  const logout = (refreshToken: unknown) => post({ query: LOGOUT, variables: { refreshToken } })

  const first = refreshTokenIn(await post({ query: SIGNUP, variables }))
  const second = refreshTokenIn(await refresh(first))
  await refresh(first)
  const third = refreshTokenIn(await refresh(second))
  await refresh(first)
  await refresh(third)
  const inside = refreshTokenIn(await post({ query: LOGIN, variables }))
  const [head = '', generation, secret = '', mac] = inside.split('.')
  const bad = [
    `mjr_${GARBAGE}`,
    `${inside}x`,
    [head, generation, [...secret].reverse().join(''), mac].join('.'),
    [head, 1, secret, mac].join('.'),
    NUMBER,
    { value: inside },
    [inside],
    null,
  ]
  for (const token of bad) {
    await refresh(token)
    await logout(token)
  }
  await post({ query: `mutation { refresh(refreshToken: ${inside}) { accessToken } }` })
  await post({ query: `mutation { refresh(refreshToken: "${inside}) { accessToken } }` })
  await post(`{"query": ${JSON.stringify(REFRESH)}, "variables": {"refreshToken": "${inside}`)
  await post({ query: '{ me { id } }' }, bearer(inside))
  await logout(inside)

  const signIn = async () => bearer(tokenIn(await post({ query: LOGIN, variables })))
  const viewer = await signIn()
  const change = (currentPassword: unknown, newPassword: unknown) =>
    post({ query: CHANGE_PASSWORD, variables: { currentPassword, newPassword } }, viewer)
  await change(WRONG, NEW)
  for (const weak of [SHORT, NUMBER, { value: NEW }, `${NEW}\ud800`]) await change(RIGHT, weak)
  await post({ query: 'mutation { deleteMe(password: zq7newpw4711) { sessions } }' }, viewer)
  await post({ query: DELETE_ME, variables: { password: WRONG } }, viewer)
  await post({ query: '{ sessions { id client clientAddress } }' }, viewer)
  await post({ query: END_SESSION, variables: { id: GARBAGE } }, viewer)
  await post({ query: 'mutation { logoutAll { sessions } }' }, await signIn())
  const again = await signIn()
  const changed = await post(
    { query: CHANGE_PASSWORD, variables: { currentPassword: RIGHT, newPassword: NEW } },
    again,
  )
  await post({ query: '{ me { id createdAt } }' }, again)
  await post({ query: DELETE_ME, variables: { password: NEW } }, bearer(tokenIn(changed)))
}

const TOKENS = '{ accessToken expiresIn refreshToken refreshExpiresIn }'
const REFRESH = `mutation ($refreshToken: String!) { refresh(refreshToken: $refreshToken) ${TOKENS} }`
const LOGOUT = `mutation ($refreshToken: String) { logout(refreshToken: $refreshToken) { sessions } }`
const CHANGE_PASSWORD = `mutation ($currentPassword: String!, $newPassword: String!) { changePassword(currentPassword: $currentPassword, newPassword: $newPassword) ${TOKENS} }`
const DELETE_ME = `mutation ($password: String!) { deleteMe(password: $password) { sessions } }`
const END_SESSION = `mutation ($id: ID!) { endSession(id: $id) { sessions } }`

/** Everything that names something of the client's, with what could break a line of the log. */
async function inject({ post, send, raw }: Client): Promise<void> {
  await post({ query: LOGIN, variables: { email: INJECTION, password: INJECTION } })
  await post({ query: SIGNUP, variables: { email: `"${INJECTION}"@example.com`, password: RIGHT } })
  await post({
    query: LOGIN,
    variables: { email: EMAIL, password: RIGHT },
    operationName: INJECTION,
  })
  await post({ query: INJECTION })
  await post(INJECTION)
  await send(`/${encodeURIComponent(INJECTION)}`)
  await post({ query: 'query zq7name { __typename }', operationName: 'zq7name' })
  const close = 'host: munjigi\r\nconnection: close\r\n'
  for (const value of BYTES) {
    for (const name of NAMED) await raw(`GET /livez HTTP/1.1\r\n${close}${name}: ${value}\r\n\r\n`)
    await raw(`GET /livez HTTP/1.1\r\n${close}x-zq7: a\r\n ${value}\r\n\r\n`)
    await raw(`GET /${value} HTTP/1.1\r\n${close}\r\n`)
    await raw(`${value} / HTTP/1.1\r\n${close}\r\n`)
  }
}

/** Headers that are read, and some of them repeated. */
const NAMED = ['user-agent', 'x-request-id', 'x-envoy-external-address', 'accept', 'origin']

/** What a header can hold beside plain text, byte by byte. A server may refuse some of it, but not all in one. */
const BYTES = [
  'zq7 "}{"event":"forged"} \\u000a \\',
  'zq7\t\u0085\u009b31m\u00a0',
  Buffer.from('zq7\u2028\u2029\ufeff').toString('latin1'),
  'zq7\u001b[31m',
  'zq7\0',
  'zq7\u007f',
  'zq7\r{"event":"forged"}',
  'zq7\n{"event":"forged"}',
  `zq7${'x'.repeat(5_000)}`,
]

/** The database fails in the middle of everything: statements with their parameters, then the whole of it. */
async function spoil(client: Client, layout: Layout, token: string): Promise<void> {
  const { post } = client
  const everything = async () => {
    await post({ query: SIGNUP, variables: { email: UNKNOWN, password: RIGHT } })
    await post({ query: LOGIN, variables: { email: EMAIL, password: RIGHT } })
    await post({ query: '{ me { email createdAt } }' }, bearer(token))
  }
  for (const column of ['password_hash', 'email_key']) {
    await layout.execute(`ALTER TABLE users RENAME COLUMN ${column} TO away`)
    await everything()
    await layout.execute(`ALTER TABLE users RENAME COLUMN away TO ${column}`)
  }
  await layout.execute(`UPDATE users SET password_hash = 'no hash'`)
  await everything()
  await layout.without(everything)
}

/** More at once than are let in, and one after the other more than anybody may try. */
async function crowd({ post }: Client): Promise<void> {
  const as = (email: string) => post({ query: LOGIN, variables: { email, password: WRONG } })
  await Promise.all(Array.from({ length: 150 }, (_, i) => as(`${i}${UNKNOWN}`)))
  for (let i = 0; i < 12; i += 1) await as(EMAIL)
}

/** Forms in which a secret could slip out: in either case, escaped, or encoded. */
function disguises(secret: string): string[] {
  const aligned = ['', 'x', 'xx'].map((before) => {
    const whole = Math.floor((before.length + secret.length) / 3) * 4
    return Buffer.from(before + secret)
      .toString('base64url')
      .slice(before === '' ? 0 : 4, whole)
  })
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('hex'),
    ...aligned,
  ]
    .filter((form) => form === secret || form.length > 5)
    .map((form) => form.toLowerCase())
}

function findIn(text: string, secrets: readonly string[]): string[] {
  const haystack = text.toLowerCase().replaceAll('+', '-').replaceAll('/', '_')
  const found = (form: string) => haystack.includes(form.replaceAll('+', '-').replaceAll('/', '_'))
  return secrets.filter((secret) => disguises(secret).some(found))
}

const layouts: ReadonlyArray<[string, () => Promise<Layout>, boolean]> = [
  ['a file', fileLayout, true],
  ['a libSQL server', serverLayout, canRunSqld()],
]

for (const [name, openLayout, available] of layouts)
  describe.skipIf(!available)(`after everything has happened to a server on ${name}`, () => {
    let layout: Layout
    let client: Client
    let program: Program
    let tokens: readonly string[]
    let refreshTokens: readonly string[]
    let hashes: readonly string[]
    let privateKey: string
    let metrics: string
    let stored: string
    let storedFiles: readonly string[]
    let exitCode: number

    beforeAll(async () => {
      layout = await openLayout()
      const server = await startServe(layout)
      program = server.program
      client = createClient(server.url)
      const token = await goRight(client)
      const users = await layout.rows('SELECT password_hash FROM users')
      hashes = users.map((row) => String(row['password_hash']))
      privateKey = await openPrivateKey(layout)
      await goWrong(client, token)
      await useSessions(client)
      await inject(client)
      await crowd(client)
      storedFiles = namesIn(layout.folder)
      stored = readAll(layout.folder).join('\n')
      await spoil(client, layout, token)
      const issued = (find: (body: string) => string) =>
        client.heard.map(({ body }) => find(body)).filter((text) => text !== '')
      tokens = issued(tokenIn)
      refreshTokens = issued(refreshTokenIn)
      metrics = await (await fetch(server.metricsUrl)).text()
      stored += readAll(layout.folder).join('\n')
      program.process.kill('SIGTERM')
      exitCode = (await program.ended).exitCode
    })
    afterAll(async () => {
      program.process.kill('SIGKILL')
      await layout[Symbol.asyncDispose]()
    })

    /** The beginnings, by which each is found even if it was cut; of a token the part that makes it one. */
    const secrets = () => [
      'zq7right4711',
      'zq7wrong4711',
      'zq7newpw4711',
      SHORT,
      String(NUMBER),
      'zq7secret4711',
      AUTH_TOKEN,
      GARBAGE,
      privateKey,
      ...hashes.map((hash) => hash.split('$').at(-1) ?? ''),
      '$argon2',
    ]
    const emails = ['zq7kim4711', 'zq7nobody4711', 'zq7choi4711']
    const signatures = () => [
      ...tokens.map((token) => token.split('.')[2] ?? ''),
      ...refreshSecrets(),
      'mjr_',
    ]
    /** Of each refresh token its secret, and the MAC without which it is refused. */
    const refreshSecrets = () => refreshTokens.flatMap((token) => token.split('.').slice(2))

    test('everything has been called that can be called', () => {
      const schema = readFileSync(join(import.meta.dir, '../src/schema.graphql'), 'utf8')
      const roots = [...schema.matchAll(/^type (?:Query|Mutation) {\n([\s\S]*?)^}/gm)]
      const fields = roots.flatMap(([, body = '']) => [...body.matchAll(/^ {2}(\w+)[(:]/gm)])
      const names = fields.map(([, name = '']) => name)
      expect(names).toContain('login')
      const sent = client.sent.join()
      expect(names.filter((name) => !new RegExp(`\\b${name}\\b *[({]`).test(sent))).toEqual([])
      expect(new Set(refreshTokens).size).toBeGreaterThanOrEqual(10)
    })

    test('every code has been answered that exists', () => {
      const codes = client.heard.flatMap(({ body }) => [...body.matchAll(/"code":"([A-Z_]+)"/g)])
      const seen = new Set(codes.map(([, code]) => code))
      expect(
        Object.keys(ERRORS)
          .filter((code) => !seen.has(code))
          .sort(),
      ).toEqual([])
      expect(new Set(tokens).size).toBeGreaterThanOrEqual(3)
      expect([privateKey.length, hashes.length]).toEqual([43, 1])
      expect(hashes.join()).toStartWith('$argon2id$')
    })

    test('the log holds no secret, no token and no e-mail', () => {
      const said = program.output.stdout + program.output.stderr
      expect(said).toContain('"event":"request.failed"')
      expect(said).toContain('"event":"database.fault"')
      expect(findIn(said, [...secrets(), ...signatures(), ...emails])).toEqual([])
    })

    test('each of its lines is one JSON object with a time, a level and an event', () => {
      expect(exitCode).toBe(0)
      expect(program.output.stderr).toBe('')
      expect(program.output.stdout).toEndWith('\n')
      const lines = program.output.stdout.slice(0, -1).split('\n')
      for (const line of lines) {
        expect(line).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u)
        expect(JSON.parse(line)).toMatchObject({
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          level: expect.stringMatching(/^(debug|info|warning|error)$/),
          event: expect.stringMatching(/^[a-z]+\.[a-z_]+$/),
        })
      }
      expect(lines.filter((line) => JSON.parse(line).event === 'forged')).toEqual([])
    })

    test('the metrics hold none of it, not even a name of the client’s', () => {
      expect(metrics).toContain('munjigi_logins_total')
      expect(findIn(metrics, [...secrets(), ...signatures(), ...emails])).toEqual([])
      expect(metrics).not.toContain('zq7')
    })

    test('no header of any answer holds any', () => {
      const heads = client.heard.map(({ head }) => head).join('\n')
      expect(findIn(heads, [...secrets(), ...signatures(), ...emails])).toEqual([])
    })

    test('every answer has an id that is plain and short, whatever id was sent', () => {
      const ids = client.heard.flatMap(({ head }) => /^x-request-id: .*$/im.exec(head) ?? [])
      expect(ids.length).toBeGreaterThan(100)
      for (const id of ids) expect(id).toMatch(/^x-request-id: [\w.-]{8,128}\r?$/i)
    })

    test('an answer that refuses repeats nothing that was sent', () => {
      const refusals = client.heard.filter(({ body }) => !isSuccess(body))
      expect(refusals.length).toBeGreaterThan(100)
      for (const { body } of refusals)
        expect([body, findIn(body, [...secrets(), ...signatures(), ...emails])]).toEqual([body, []])
    })

    test('an answer that succeeds holds nothing but its tokens and the e-mail of their user', () => {
      const successes = client.heard.filter(({ body }) => isSuccess(body))
      expect(successes.length).toBeGreaterThan(5)
      const allowed = [
        ...tokens.map((token) => `"accessToken":"${token}"`),
        ...refreshTokens.map((token) => `"refreshToken":"${token}"`),
        ...[EMAIL, UNKNOWN, LEAVING].map((email) => `"email":"${email}"`),
        `"message":"이미 ${EMAIL}로 로그인 하였습니다."`,
      ]
      for (const { body } of successes) {
        const rest = allowed.reduce((text, own) => text.replaceAll(own, ''), body)
        expect([rest, findIn(rest, [...secrets(), ...signatures(), ...emails])]).toEqual([rest, []])
      }
    })

    test('what is stored holds neither password nor token, nor what opens the key', () => {
      expect(storedFiles.filter((file) => file.endsWith('-wal'))).not.toEqual([])
      // That these are found shows that the search reaches the rows.
      expect(stored).toContain(EMAIL)
      expect(stored).toContain(hashes.join())
      const never = ['zq7right4711', 'zq7wrong4711', 'zq7newpw4711', 'zq7secret4711', AUTH_TOKEN]
      expect(findIn(stored, [...never, privateKey, ...signatures()])).toEqual([])
      const bytes = refreshSecrets().map((text) => Buffer.from(text, 'base64url'))
      for (const secret of bytes)
        for (const encoding of ['latin1', 'hex', 'base64'] as const)
          expect(stored.includes(secret.toString(encoding))).toBe(false)
    })
  })

function isSuccess(body: string): boolean {
  return body.startsWith('{"data":{')
}

/** As only who has the secret can. */
async function openPrivateKey(layout: Layout): Promise<string> {
  const [row] = await layout.rows('SELECT kid, sealed_private_jwk FROM signing_keys')
  const key = deriveKey(SECRET, 'signing key sealing v1')
  const opened = unseal(String(row?.['sealed_private_jwk']), key, String(row?.['kid']))
  return String(JSON.parse(opened ?? '{}').d)
}

/** All files below a folder. */
function namesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile())
}

/** What is in them, byte by byte. */
function readAll(folder: string): string[] {
  return namesIn(folder).map((name) => readIfThere(join(folder, name)))
}

/** A libSQL server writes its statistics into a new file every few seconds, and gives it the name of the old one. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path).toString('latin1')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  }
}

test('the search finds a secret in any of its disguises', () => {
  const hidden = [
    `a${RIGHT}b`,
    RIGHT.toUpperCase(),
    encodeURIComponent(`a${RIGHT}b`),
    Buffer.from(`a${RIGHT}b`).toString('hex'),
    ...['', 'a', 'ab', 'abc'].map((before) => Buffer.from(`${before}${RIGHT}b`).toString('base64')),
  ]
  for (const text of hidden) expect(findIn(`- ${text} -`, [RIGHT])).toEqual([RIGHT])
  expect(findIn(RIGHT, [WRONG])).toEqual([])
})

test('the secret that dev makes is in its file only', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-sentinels-'))
  const program = startProgram(['dev'], {
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
    MUNJIGI_DATABASE_URL: `file:${join(folder, 'munjigi.db')}`,
  })
  await until('dev has started', () => program.output.stdout.includes('server.started'))
  program.process.kill('SIGTERM')
  const { stdout, stderr, exitCode } = await program.ended
  const secret = readFileSync(join(folder, 'secret'), 'utf8').trim()
  expect([exitCode, secret.length]).toEqual([0, 64])
  expect(findIn(stdout + stderr, [secret])).toEqual([])
  expect(statSync(join(folder, 'secret')).mode & 0o777).toBe(0o600)
  expect(statSync(join(folder, 'munjigi.db')).mode & 0o777).toBe(0o600)
  rmSync(folder, { recursive: true })
})
