// Replacing the secret as docs/operations.md says, over real processes: the command that Compose runs, and three replicas that
// are replaced one at a time, so that replicas of before and after each step stand side by side.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { sealingKeysOf } from '../src/keys/keys.ts'
import { seal, unseal } from '../src/keys/seal.ts'
import { ask } from './ask.ts'
import { startProgram } from './program.ts'
import type { Server } from './server.ts'
import { startServer, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(120_000)

const ROOT = join(import.meta.dir, '..')
const OLD = 'the old secret of a test, of more than thirty-two bytes'
const NEXT = 'the next secret of a test, of more than thirty-two bytes'
const TOKENS = '{ accessToken refreshToken }'
const SETTINGS = { ...UNTHROTTLED, MUNJIGI_JWKS_MAX_AGE: '1s', MUNJIGI_ACCESS_TOKEN_TTL: '10s' }

const ROTATE = ['secrets', 'rotate']
const { services } = Bun.YAML.parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
  services: Record<string, { environment: object; volumes: string[] }>
}

interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
}

const folder = mkdtempSync(join(tmpdir(), 'munjigi-rotation-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file with a secret, and a database of its own. */
function place(name: string, text = `${OLD}\n`) {
  const at = {
    file: join(folder, `${name}.secret`),
    database: `file:${join(folder, `${name}.db`)}`,
  }
  writeFileSync(at.file, text, { mode: 0o600 })
  return at
}

type Place = ReturnType<typeof place>

function munjigi({ file, database }: Place, ...args: string[]) {
  const env = { MUNJIGI_SECRET_FILE: file, MUNJIGI_DATABASE_URL: database, ...SETTINGS }
  return startProgram(args, env).ended
}

/** One step of the runbook, as it is written there. */
async function step(at: Place, ...option: string[]): Promise<void> {
  const { exitCode, stderr } = await munjigi(at, ...ROTATE, ...option)
  expect([exitCode, stderr]).toEqual([0, ''])
}

async function refusal(at: Place, ...option: string[]): Promise<[number, string]> {
  const before = readFileSync(at.file, 'utf8')
  const { exitCode, stdout, stderr } = await munjigi(at, ...ROTATE, ...option)
  expect([stdout, readFileSync(at.file, 'utf8')]).toEqual(['', before])
  expect(stderr).not.toContain('secret of a test')
  return [exitCode, stderr]
}

function serve({ file, database }: Place, more: Record<string, string> = {}): Promise<Server> {
  const env = { ...SETTINGS, MUNJIGI_SECRET: undefined, MUNJIGI_SECRET_FILE: file, ...more }
  return startServer({ mode: 'serve', database, env })
}

async function signup(replica: Server | undefined, email: string): Promise<Tokens> {
  const input = `email: "${email}", password: "correct horse battery staple"`
  return (await ask(`${replica?.url}`, `mutation { signup(${input}) { tokens ${TOKENS} } }`)).data
    .signup.tokens
}

/** The next tokens, or the code of the refusal. */
async function refresh(
  replica: Server | undefined,
  { refreshToken }: Tokens,
): Promise<Tokens | string> {
  const { data, code } = await ask(
    `${replica?.url}`,
    `mutation { refresh(refreshToken: "${refreshToken}") ${TOKENS} }`,
  )
  return typeof code === 'string' ? code : data.refresh
}

describe('three replicas', () => {
  const at = place('three')
  let replicas: Server[] = []
  /** One session for each who writes and each who reads. */
  const pairs: Array<{ writer: number; reader: number; tokens: Tokens }> = []
  const idle: Tokens[] = []

  beforeAll(async () => {
    replicas = await Promise.all([serve(at), serve(at), serve(at)])
    for (const writer of [0, 1, 2])
      for (const reader of [0, 1, 2]) {
        const tokens = await signup(replicas[writer], `${writer}-${reader}@example.com`)
        pairs.push({ writer, reader, tokens })
      }
    for (const at of [0, 1]) idle.push(await signup(replicas[at], `idle-${at}@example.com`))
  })
  afterAll(() => Promise.all(replicas.map((replica) => replica.stop())))

  /** Each replica writes tokens for each: what was refused. */
  async function refusals(): Promise<string[]> {
    const refused: string[] = []
    for (const pair of pairs) {
      for (const [by, other] of [
        [pair.writer, pair.reader],
        [pair.reader, pair.writer],
      ] as const) {
        const next = await refresh(replicas[by], pair.tokens)
        if (typeof next === 'string') {
          refused.push(`refresh at ${by}: ${next}`)
          continue
        }
        pair.tokens = next
        const { code } = await ask(`${replicas[other]?.url}`, '{ me { id } }', {
          token: next.accessToken,
        })
        if (code) refused.push(`me at ${other}: ${code}`)
      }
    }
    return refused
  }

  /** A new signing key, by a replica's own means, and all learn it. */
  async function rotateSigningKey(): Promise<void> {
    const { kid } = await until('no other key is waiting', async () => {
      const { exitCode, stdout } = await munjigi(at, 'keys', 'rotate', '--json')
      return exitCode === 0 && (JSON.parse(stdout) as { kid: string })
    })
    for (const replica of replicas)
      await until('the new key is known', async () =>
        (await (await fetch(`${replica.url}/.well-known/jwks.json`)).text()).includes(kid),
      )
  }

  /** One at a time, and after each of them every replica understands every other. */
  async function rollOut(): Promise<void> {
    for (const turn of [0, 1, 2]) {
      const next = await serve(at)
      await replicas[turn]?.stop()
      replicas[turn] = next
      expect(await refusals()).toEqual([])
      if (turn === 1) await rotateSigningKey()
    }
  }

  test('get a new secret, and nobody is refused anything', async () => {
    expect(await refusals()).toEqual([])
    await step(at)
    await rollOut()
    await step(at, '--use-next')
    await rollOut()
    // Whoever was away all the time still has a token of before.
    expect(typeof (await refresh(replicas[1], idle[0] as Tokens))).toBe('object')
    await step(at, '--drop-previous')
    await rollOut()
    expect(readFileSync(at.file, 'utf8')).not.toContain(OLD)
    expect(readFileSync(at.file, 'utf8').trimEnd()).toMatch(/^[\w-]{64}$/)
    // From then on what was written under the old one is refused.
    expect(await refresh(replicas[1], idle[1] as Tokens)).toBe('INVALID_REFRESH_TOKEN')
  })

  test('reported no key that they could not read', () => {
    const lines = replicas.flatMap((replica) => replica.lines)
    expect(lines.filter((line) => line.includes('key.refused'))).toEqual([])
  })
})

describe('a signing key', () => {
  test('that is still sealed under the previous secret is sealed anew before that is dropped', async () => {
    const at = place('sealed', `${NEXT}\nprevious ${OLD}\n`)
    expect((await munjigi(at, 'migrate')).exitCode).toBe(0)
    expect((await munjigi(at, 'keys', 'list')).exitCode).toBe(0)
    const client = createClient({ url: at.database, timeout: 5_000 })
    const [oldKey, nextKey] = sealingKeysOf([OLD, NEXT]) as [Uint8Array, Uint8Array]
    const sealed = async () => {
      const { rows } = await client.execute('SELECT kid, sealed_private_jwk FROM signing_keys')
      return { kid: String(rows[0]?.['kid']), text: String(rows[0]?.['sealed_private_jwk']) }
    }
    const { kid, text } = await sealed()
    const old = seal(unseal(text, nextKey, kid) ?? '', oldKey, kid)
    await client.execute({ sql: 'UPDATE signing_keys SET sealed_private_jwk = ?', args: [old] })
    await step(at, '--drop-previous')
    expect(unseal((await sealed()).text, nextKey, kid)).not.toBeNull()
    client.close()
  })

  test('that neither secret opens keeps the previous one where it is', async () => {
    const at = place('foreign')
    expect((await munjigi(at, 'migrate')).exitCode).toBe(0)
    expect((await munjigi(at, 'keys', 'list')).exitCode).toBe(0)
    const third = OLD.replace('old', 'third')
    writeFileSync(at.file, `${NEXT}\nprevious ${third}\n`)
    expect(await refusal(at, '--drop-previous')).toEqual([
      78,
      expect.stringContaining('sealed with another MUNJIGI_SECRET'),
    ])
  })
})

describe('a step', () => {
  const ONE = `${OLD}\n`
  const WITH_NEXT = `${OLD}\nnext ${NEXT}\n`
  const WITH_PREVIOUS = `${NEXT}\nprevious ${OLD}\n`

  test.each([
    [ONE, ['--use-next'], 'holds one secret'],
    [ONE, ['--drop-previous'], 'holds one secret'],
    [WITH_NEXT, [], 'a next secret is there'],
    [WITH_NEXT, ['--drop-previous'], 'a next secret is there'],
    [WITH_PREVIOUS, [], 'the previous secret is still there'],
    [WITH_PREVIOUS, ['--use-next'], 'the previous secret is still there'],
  ])('that is not due does nothing: %#', async (text, option, words) => {
    expect(await refusal(place('order', text), ...option)).toEqual([
      1,
      expect.stringContaining(words),
    ])
  })

  test('keeps mode and place of the file, and leaves no secret of a call that was killed', async () => {
    const at = place('killed')
    chmodSync(at.file, 0o640)
    writeFileSync(`${at.file}.rotating-0badcafe`, WITH_PREVIOUS)
    const link = join(folder, 'link')
    symlinkSync(at.file, link)
    await step({ ...at, file: link })
    expect(readFileSync(at.file, 'utf8')).toStartWith(`${OLD}\nnext `)
    expect(statSync(at.file).mode & 0o777).toBe(0o640)
    expect(readdirSync(folder).filter((name) => name.includes('rotating'))).toEqual([])
  })

  test('without a file has nothing to replace', async () => {
    const { exitCode, stderr } = await startProgram(ROTATE, { MUNJIGI_SECRET: OLD }).ended
    expect([exitCode, stderr]).toEqual([78, expect.stringContaining('MUNJIGI_SECRET_FILE')])
  })
})

test('in Compose it replaces the file that the replicas read', () => {
  const [operator, replica] = [services['operator'], services['munjigi']]
  expect(operator?.environment).toEqual(replica?.environment)
  expect(operator?.volumes).toContain('secrets:/run/secrets')
  expect(replica?.volumes).toEqual(['secrets:/run/secrets:ro'])
  const manual = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
  const steps = ['', ' --use-next', ' --drop-previous'].map(
    (option) => `docker compose run --rm operator secrets rotate${option}\nnpm run rollout\n`,
  )
  expect(steps.filter((lines) => !manual.includes(lines))).toEqual([])
})

test('a replica without the new secret is not ready when the key that it has is dropped, and nobody loses anything by it', async () => {
  const at = place('behind')
  // So that a refresh that was answered with a failure, but was one, would show.
  await using replica = await serve(at, { MUNJIGI_REFRESH_GRACE: '0s' })
  const tokens = await signup(replica, 'kim@example.com')
  const jwks = () => fetch(`${replica.url}/.well-known/jwks.json`)
  const failing = async () =>
    ((await (await fetch(`${replica.url}/readyz`)).json()) as { failing?: string[] }).failing
  const operator = async (secret: string, previous: string, ...args: string[]) => {
    const secrets = { MUNJIGI_SECRET: secret, MUNJIGI_SECRET_PREVIOUS: previous }
    const env = { ...SETTINGS, ...secrets, MUNJIGI_DATABASE_URL: at.database }
    expect((await startProgram(args, env).ended).exitCode).toBe(0)
  }

  const { keys } = (await (await jwks()).json()) as { keys: { kid: string }[] }
  await operator(NEXT, OLD, 'keys', 'drop', keys[0]?.kid ?? '')
  await until('it is not ready', async () => (await failing())?.includes('signing_keys'))
  expect((await jwks()).status).toBe(503)
  const kim = 'email: "kim@example.com", password: "correct horse battery staple"'
  for (const operation of [
    `refresh(refreshToken: "${tokens.refreshToken}") ${TOKENS}`,
    `login(${kim}) { __typename }`,
    `signup(${kim.replace('kim', 'lee')}) { user { id } }`,
  ])
    expect((await ask(replica.url, `mutation { ${operation} }`)).code).toBe('SERVICE_UNAVAILABLE')

  // Sealed anew under the secret that the replica has.
  await operator(OLD, NEXT, 'keys', 'list')
  await until('it is ready', async () => (await failing()) === undefined)
  const { accessToken } = (await refresh(replica, tokens)) as Tokens
  const { data } = await ask(replica.url, '{ sessions { id } }', { token: accessToken })
  expect(data.sessions).toHaveLength(1)
  expect(await signup(replica, 'lee@example.com')).toBeTruthy()
})
