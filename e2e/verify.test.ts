// The examples of docs/verify are true: each runs as its page says, lets a real token pass and refuses every bad one.
// The issuer here publishes Munjigi's keys and two of the test's own: only so can a token be wrong in one claim alone.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { KeyObject } from 'node:crypto'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { calculateJwkThumbprint, createRemoteJWKSet, jwtVerify } from 'jose'
import { ask as askMunjigi } from './ask.ts'
import { ENVOY_VERSION, envoyBinary, startEnvoy } from './envoy.ts'
import { outputOf } from './output.ts'
import { requires } from './requirement.ts'
import type { Server } from './server.ts'
import { startServer } from './server.ts'

setDefaultTimeout(30_000)

const ROOT = join(import.meta.dir, '..')
const EXAMPLES = join(ROOT, 'docs', 'verify')
const CACHE = join(ROOT, '.cache', 'verify')
const JWKS = '/.well-known/jwks.json'

/** An example at work. */
interface Service extends AsyncDisposable {
  readonly url: string
  /** Everything it wrote so far. */
  output(): string
}

interface Example {
  readonly name: string
  readonly available: boolean
  /** Starts it for this issuer. Throws if it ends before it listens. */
  readonly start: (issuer: string) => Promise<Service>
  /** What it says of a user: Envoy passes the id on and nothing that is not verified. */
  readonly says: readonly ('sub' | 'email')[]
  /** What a token gets that is the issuer's and in force, but not one for this service. */
  readonly statusWhenForbidden: 401 | 403
  /** What a token gets while the keys cannot be had; null: it does not even start. */
  readonly statusWithoutKeys: 401 | 503 | null
}

const [node, python, go, envoy] = await Promise.all([
  attempt(checkNode),
  attempt(installPython),
  // Without its modules Go is as good as missing; a program that does not compile is a failure.
  attempt(downloadModules).then((modules) => modules && buildGo()),
  attempt(envoyBinary),
])

const examples: readonly Example[] = [
  {
    name: 'Node',
    available: requires('Node 20 or newer', node !== null),
    start: (issuer) => startProcess([node ?? '', 'server.js'], 'node', issuer),
    says: ['sub', 'email'],
    statusWhenForbidden: 401,
    statusWithoutKeys: 503,
  },
  {
    name: 'Python',
    available: requires('Python 3 with venv and pip', python !== null),
    start: (issuer) => startProcess([python ?? '', '-B', 'server.py'], 'python', issuer),
    says: ['sub', 'email'],
    statusWhenForbidden: 401,
    statusWithoutKeys: 503,
  },
  {
    name: 'Go',
    available: requires('Go 1.25 or newer', go !== null),
    start: (issuer) => startProcess([go ?? ''], 'go', issuer),
    says: ['sub', 'email'],
    statusWhenForbidden: 401,
    statusWithoutKeys: null,
  },
  {
    name: 'Envoy',
    available: requires(`Envoy ${ENVOY_VERSION} (or its path in ENVOY)`, envoy !== null),
    start: (issuer) => startBehindEnvoy(issuer),
    says: ['sub'],
    statusWhenForbidden: 403,
    statusWithoutKeys: 401,
  },
]

const folder = mkdtempSync(join(tmpdir(), 'munjigi-verify-'))
const trusted = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const trustedRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** Times the keys were asked for. */
let fetches = 0
const issuer = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: publishKeys })
const issuerUrl = `http://127.0.0.1:${issuer.port}`

let munjigi: Server
let real: string
let realForOthers: string

beforeAll(async () => {
  const database = `file:${join(folder, 'munjigi.db')}`
  const env = { MUNJIGI_ISSUER_URL: issuerUrl }
  munjigi = await startServer({ mode: 'serve', database, env })
  real = await signUp(munjigi, 'kim@example.com')
  const otherEnv = { ...env, MUNJIGI_TOKEN_AUDIENCE: 'another-application' }
  await using other = await startServer({ mode: 'serve', database, env: otherEnv })
  realForOthers = await signUp(other, 'lee@example.com')
})

afterAll(async () => {
  await munjigi.stop()
  await issuer.stop()
  rmSync(folder, { recursive: true })
})

test('jose verifies a token with the keys that Munjigi publishes', async () => {
  const keys = createRemoteJWKSet(new URL(munjigi.url + JWKS))
  const { payload, protectedHeader, key } = await jwtVerify(real, keys, {
    algorithms: ['ES256'],
    issuer: issuerUrl,
    audience: 'munjigi',
  })
  expect(payload).toMatchObject({ email: 'kim@example.com', token_use: 'access' })
  const kid = await calculateJwkThumbprint(key)
  expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'JWT', kid })
})

test('the page names every claim and no other', () => {
  const page = readFileSync(join(EXAMPLES, '..', 'verify.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, claim = '']) => claim)
  expect(rows.sort()).toEqual(Object.keys(claimsOf(real)).sort())
})

test('what Node runs here is the version that its example asks for', () => {
  const dependency = (path: string, kind: string) =>
    JSON.parse(readFileSync(join(ROOT, path), 'utf8'))[kind].jose
  expect(dependency('docs/verify/node/package.json', 'dependencies')).toBe(
    dependency('package.json', 'devDependencies'),
  )
})

test('a service in strict TypeScript can use the example for Node', () => {
  const program = `
    import { createVerifier } from '${join(EXAMPLES, 'node', 'verify.js')}'
    const verify = createVerifier({ issuer: 'https://auth.example.com', audience: 'munjigi' })
    const claims = await verify('token')
    if (claims) console.log([claims.sub, claims.email].map((text) => text.length))
    // @ts-expect-error: whoever forgets that there may be none is told so
    console.log(claims.sub)
    export {}
  `
  const project = join(folder, 'typed')
  mkdirSync(project)
  writeFileSync(join(project, 'program.ts'), program)
  const compilerOptions = {
    allowJs: true,
    checkJs: true,
    strict: true,
    skipLibCheck: true,
    types: [],
  }
  const target = { noEmit: true, target: 'ESNext', module: 'Preserve' }
  const config = { compilerOptions: { ...compilerOptions, ...target }, files: ['program.ts'] }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, tsc, '-p', project])
  expect([stdout.toString(), exitCode]).toEqual(['', 0])
})

const ours = { alg: 'ES256', kid: 'trusted', typ: 'JWT' }
const seconds = () => Math.floor(Date.now() / 1_000)

/** Tokens as a stranger could make them, or as we could by mistake. */
const refused: ReadonlyArray<{ name: string; token: () => string; forbidden?: true }> = [
  { name: 'no token but a word', token: () => 'garbage' },
  { name: 'three words', token: () => 'not.a.token' },
  { name: 'a token cut short', token: () => real.slice(0, -10) },
  { name: 'a token without its signature', token: () => real.slice(0, real.lastIndexOf('.') + 1) },
  { name: 'another signature', token: () => tamper(real, 2) },
  { name: 'another payload', token: () => withPayload(real, { sub: 'usr_admin' }) },
  { name: 'a stranger’s signature', token: () => byForeigner({}) },
  { name: 'a key that it brings itself', token: () => byForeigner({ jwk: jwkOf(foreign) }) },
  { name: 'an unknown key', token: () => byForeigner({ kid: 'unknown' }) },
  { name: 'alg none', token: () => compact({ ...ours, alg: 'none' }, claims(), none) },
  { name: 'HS256 with the public key as PEM', token: () => byPublicKey(pemOf(trusted)) },
  {
    name: 'HS256 with the public key as JWK',
    token: () => byPublicKey(JSON.stringify(publishedJwk())),
  },
  {
    name: 'another algorithm, although the issuer has such a key',
    token: () => compact({ ...ours, alg: 'RS256', kid: 'trusted-rsa' }, claims(), rs256()),
    forbidden: true,
  },
  { name: 'a token that expired', token: () => byIssuer({ exp: seconds() - 10 }) },
  { name: 'a token that never expires', token: () => byIssuer({ exp: undefined }) },
  { name: 'a token not yet in force', token: () => byIssuer({ nbf: seconds() + 60 }) },
  { name: 'another issuer', token: () => byIssuer({ iss: 'https://other.example.com' }) },
  { name: 'the issuer but for a slash', token: () => byIssuer({ iss: `${issuerUrl}/` }) },
  { name: 'no issuer', token: () => byIssuer({ iss: undefined }) },
  { name: 'another audience, by Munjigi itself', token: () => realForOthers, forbidden: true },
  { name: 'no audience', token: () => byIssuer({ aud: undefined }), forbidden: true },
  { name: 'no user', token: () => byIssuer({ sub: undefined }), forbidden: true },
  { name: 'another use', token: () => byIssuer({ token_use: 'other' }), forbidden: true },
  { name: 'no use', token: () => byIssuer({ token_use: undefined }), forbidden: true },
]

for (const example of examples)
  describe.skipIf(!example.available)(example.name, () => {
    let service: Service

    beforeAll(async () => {
      fetches = 0
      service = await example.start(issuerUrl)
    })
    afterAll(async () => await service[Symbol.asyncDispose]())

    test('knows the user of a real token', async () => {
      const { status, body } = await ask(service, { authorization: `Bearer ${real}` })
      expect(status).toBe(200)
      expect(body).toEqual(pick(claimsOf(real), example.says))
    })

    test('knows the user of a token by the test’s own key', async () => {
      const { status, body } = await ask(service, { authorization: `Bearer ${byIssuer({})}` })
      expect(status).toBe(200)
      expect(body).toEqual(pick(claimsOf(real), example.says))
    })

    test.each(refused)('refuses $name', async ({ token, forbidden }) => {
      const answer = await ask(service, { authorization: `Bearer ${token()}` })
      expect(answer.status).toBe(forbidden ? example.statusWhenForbidden : 401)
      if (answer.status === 401) expect(answer.challenge).toContain('error="invalid_token"')
      expect(JSON.stringify(answer.body)).not.toContain('usr')
    })

    test('refuses whoever sends no token', async () => {
      const { status, challenge } = await ask(service, {})
      expect(status).toBe(401)
      expect(challenge).toStartWith('Bearer')
    })

    test('refuses a token that is not in its header', async () => {
      const answers = await Promise.all([
        ask(service, { authorization: real }),
        ask(service, { authorization: `Basic ${real}` }),
        ask(service, { cookie: `access_token=${real}` }),
        ask({ url: `${service.url}/?access_token=${real}` }, {}),
      ])
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401])
    })

    test('fetches the keys once, and once more for any number of unknown ones', async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          ask(service, { authorization: `Bearer ${byForeigner({ kid: `unknown-${n}` })}` }),
        ),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
      expect(fetches).toBeWithin(1, 3)
    })

    test('writes no token to its log', () => {
      expect(service.output()).not.toContain('eyJ')
    })

    test.each([
      ['nobody answers', 'http://127.0.0.1:1'],
      ['the answer is an error', `${issuerUrl}/nothing-here`],
    ])('lets nobody in while it has no keys: %s', async (_, issuer) => {
      const keyless = await example.start(issuer).catch(() => null)
      const answer = keyless && (await ask(keyless, { authorization: `Bearer ${real}` }))
      await keyless?.[Symbol.asyncDispose]()
      expect(answer?.status ?? null).toBe(example.statusWithoutKeys)
    })

    if (example.name !== 'Envoy') return

    test('replaces the headers that it speaks by, and keeps the token', async () => {
      const own = { 'x-user-id': 'usr_admin', 'x-session-id': 'ses_admin' }
      const response = await fetch(`${service.url}/headers`, {
        headers: { ...own, authorization: `Bearer ${real}` },
      })
      const { sub, sid } = claimsOf(real)
      const heard = (await response.json()) as Record<string, string>
      expect(heard).toMatchObject({ 'x-user-id': sub, 'x-session-id': sid })
      expect(heard).not.toHaveProperty('authorization')
    })

    test('takes nothing from the caller where the token is silent', async () => {
      const token = byIssuer({ sid: undefined })
      const response = await fetch(`${service.url}/headers`, {
        headers: { 'x-session-id': 'ses_admin', authorization: `Bearer ${token}` },
      })
      expect(await response.json()).not.toHaveProperty('x-session-id')
    })

    test('takes nothing from the caller on a route where no token is asked for', async () => {
      const off = `{ "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true, config: {} }`
      const filters = `envoy.filters.http.jwt_authn: ${off}, envoy.filters.http.rbac: ${off}`
      await using open = await startBehindEnvoy(issuerUrl, {
        '{ cluster: service }': `{ cluster: service }\n                typed_per_filter_config: { ${filters} }`,
      })
      const response = await fetch(`${open.url}/headers`, { headers: { 'x-user-id': 'usr_admin' } })
      expect(response.status).toBe(200)
      expect(await response.json()).not.toHaveProperty('x-user-id')
    })

    test('refuses headers that could be taken for those', async () => {
      const { status } = await ask(service, {
        authorization: `Bearer ${real}`,
        x_user_id: 'usr_admin',
      })
      expect(status).toBe(400)
    })
  })

async function signUp(server: Server, email: string): Promise<string> {
  const query =
    'mutation ($email: String!) { signup(email: $email, password: "correct horse battery staple") { tokens { accessToken } } }'
  const { data } = await askMunjigi(server.url, query, { variables: { email } })
  return data.signup.tokens.accessToken
}

async function publishKeys(request: Request): Promise<Response> {
  if (new URL(request.url).pathname !== JWKS) return new Response(null, { status: 404 })
  fetches += 1
  const { keys } = (await (await fetch(munjigi.url + JWKS)).json()) as { keys: object[] }
  const rsa = { ...jwkOf(trustedRsa), kid: 'trusted-rsa', alg: 'RS256', use: 'sig' }
  return Response.json({ keys: [...keys, publishedJwk(), rsa] })
}

interface Answer {
  readonly status: number
  readonly challenge: string | null
  /** Parsed where it is JSON, which Envoy's own refusals are not. */
  readonly body: unknown
}

async function ask({ url }: { url: string }, headers: Record<string, string>): Promise<Answer> {
  const response = await fetch(url, { headers })
  const { status } = response
  const challenge = response.headers.get('www-authenticate')
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return { status, challenge, body: await (isJson ? response.json() : response.text()) }
}

// Tokens

type Json = Readonly<Record<string, unknown>>
type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject }

function claimsOf(token: string): Json {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

/** What Munjigi itself said, so that the test's own tokens differ in nothing else. */
function claims(): Json {
  return claimsOf(real)
}

/** By a key that the issuer publishes. `undefined` takes a claim away. */
function byIssuer(changes: Json): string {
  return compact(ours, { ...claims(), ...changes }, es256(trusted))
}

function byForeigner(header: Json): string {
  return compact({ ...ours, ...header }, claims(), es256(foreign))
}

function byPublicKey(secret: string): string {
  const hs256 = (input: string) => createHmac('sha256', secret).update(input).digest()
  return compact({ ...ours, alg: 'HS256' }, claims(), hs256)
}

function compact(header: Json, payload: Json, signature: (input: string) => Buffer): string {
  const input = [header, payload].map((part) => encode(JSON.stringify(part))).join('.')
  return `${input}.${encode(signature(input))}`
}

function encode(bytes: string | Buffer): string {
  return Buffer.from(bytes).toString('base64url')
}

function es256({ privateKey: key }: Pair) {
  return (input: string) => sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
}

function rs256() {
  return (input: string) => sign('sha256', Buffer.from(input), trustedRsa.privateKey)
}

function none(): Buffer {
  return Buffer.alloc(0)
}

/** Changes one bit in the middle of a part: at its end a bit may mean nothing. */
function tamper(token: string, part: number): string {
  const parts = token.split('.')
  const bytes = Buffer.from(parts[part] ?? '', 'base64url')
  const middle = bytes.length >> 1
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  return parts.with(part, encode(bytes)).join('.')
}

function withPayload(token: string, changes: Json): string {
  return token
    .split('.')
    .with(1, encode(JSON.stringify({ ...claims(), ...changes })))
    .join('.')
}

function jwkOf({ publicKey }: Pair) {
  return publicKey.export({ format: 'jwk' })
}

function publishedJwk() {
  return { ...jwkOf(trusted), kid: 'trusted', alg: 'ES256', use: 'sig' }
}

function pemOf({ publicKey }: Pair): string {
  return publicKey.export({ format: 'pem', type: 'spki' }).toString()
}

function pick(from: Json, names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}

// Examples

/** Null where it cannot be done here; why is said once. */
async function attempt(work: () => Promise<string>): Promise<string | null> {
  try {
    return await work()
  } catch (error) {
    console.warn(error instanceof Error ? error.message : error)
    return null
  }
}

async function checkNode(): Promise<string> {
  const check = 'process.exit(Number.parseInt(process.versions.node) < 20 ? 1 : 0)'
  await outputOf(['node', '--eval', check], { cwd: ROOT })
  return 'node'
}

/** The interpreter of a virtual environment with what the example asks for, made anew when that changes. */
async function installPython(): Promise<string> {
  const requirements = join(EXAMPLES, 'python', 'requirements.txt')
  const key = Bun.hash(readFileSync(requirements)).toString(36)
  const home = join(CACHE, `python-${key}`)
  const interpreter = join(home, 'bin', 'python')
  const finished = join(home, 'finished')
  if (existsSync(finished)) return interpreter
  await outputOf(['python3', '-m', 'venv', '--clear', home], { cwd: ROOT })
  const pip = [interpreter, '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet']
  await outputOf([...pip, '--requirement', requirements], { cwd: ROOT })
  writeFileSync(finished, '')
  return interpreter
}

async function downloadModules(): Promise<string> {
  const folder = join(EXAMPLES, 'go')
  await outputOf(['go', 'mod', 'download'], { cwd: folder })
  return folder
}

async function buildGo(): Promise<string> {
  const program = join(CACHE, 'verify-go')
  mkdirSync(CACHE, { recursive: true })
  const cwd = join(EXAMPLES, 'go')
  await outputOf(['go', 'build', '-buildvcs=false', '-o', program, '.'], { cwd })
  return program
}

async function startProcess(
  command: readonly string[],
  example: string,
  issuer: string,
): Promise<Service> {
  const child = Bun.spawn([...command], {
    cwd: join(EXAMPLES, example),
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ISSUER: issuer, PORT: '0' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  let output = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const reading = Promise.all([child.stdout, child.stderr].map(read)).then(() =>
    reject(new Error(`${example} ended before it listened:\n${output}`)),
  )
  return {
    url: await promise,
    output: () => output,
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
      await reading
    },
  }

  async function read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder()
    for await (const chunk of stream) {
      output += decoder.decode(chunk, { stream: true })
      const [, url] = /^listening on (\S+)\n/m.exec(output) ?? []
      if (url) resolve(url)
    }
  }
}

/** Envoy as the example configures it, but for addresses, before a service that says what it is told. */
async function startBehindEnvoy(
  issuer: string,
  changes: Readonly<Record<string, string>> = {},
): Promise<Service> {
  const behind = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: ({ url, headers }) =>
      Response.json(
        url.endsWith('/headers') ? headers.toJSON() : { sub: headers.get('x-user-id') },
      ),
  })
  const envoy = await startEnvoy(
    replaceEach(readFileSync(join(EXAMPLES, 'envoy', 'envoy.yaml'), 'utf8'), {
      'http://127.0.0.1:3000': issuer,
      'port_value: 3000': `port_value: ${new URL(issuer).port}`,
      'port_value: 4000': 'port_value: 0',
      'port_value: 5000': `port_value: ${behind.port}`,
      ...changes,
    }),
  )
  return {
    url: `http://${envoy.address('service')}`,
    output: () => envoy.lines.join('\n'),
    async [Symbol.asyncDispose]() {
      await envoy.stop()
      await behind.stop()
    },
  }
}

/** Every text must be there, else the example would run with addresses of its own. */
function replaceEach(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`the example does not say ${from}`)
    return result.replaceAll(from, to)
  }, text)
}
