// The key ring: names that others can compute, one key for all replicas, nothing private outside, nothing without the secret.

import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import type { SigningAlgorithm } from '../config.ts'
import { createMetrics } from '../observability/metrics.ts'
import { systemClock } from '../platform/clock.ts'
import { deriveKey } from '../platform/digest.ts'
import type { Database } from '../storage/database.ts'
import { openDatabase } from '../storage/database.ts'
import { createTestClock } from '../testing/clock.ts'
import { createTestLog } from '../testing/log.ts'
import { createTestRandom } from '../testing/random.ts'
import { createAccessTokens } from '../tokens/access-token.ts'
import type { KeyRing } from './keys.ts'
import { openKeyRing, WrongSecret } from './keys.ts'
import { seal, unseal } from './seal.ts'
import { generateSigningKey, publicHalf } from './signing-key.ts'
import { signingKeys } from './table.ts'

const ALGORITHMS = ['ES256', 'EdDSA', 'RS256'] as const
/** What the JWKS shows of a key, and all it shows. */
const PUBLISHED = {
  ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
  EdDSA: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
} as const

const SECRET = deriveKey('a secret of more than thirty-two bytes, for tests', 'sealing')
const OTHER_SECRET = deriveKey('another secret of more than thirty-two bytes', 'sealing')

const folder = mkdtempSync(join(tmpdir(), 'munjigi-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))

function open(url = ':memory:'): Promise<Database> {
  const { log } = createTestLog()
  const metrics = createMetrics('')
  return openDatabase({ url, clock: systemClock, random: createTestRandom(), log, metrics })
}

function ringOf(
  database: Database,
  {
    algorithm = 'ES256',
    sealingKey = SECRET,
  }: { algorithm?: SigningAlgorithm; sealingKey?: Uint8Array } = {},
): Promise<KeyRing> {
  return openKeyRing({
    database,
    clock: createTestClock(),
    report: () => {},
    sealingKeys: [sealingKey],
    algorithm,
    jwksMaxAge: 300,
    tokenLifetime: 605,
    rotation: 0,
  })
}

function tokensOf(keys: KeyRing) {
  return createAccessTokens({
    keys,
    clock: createTestClock(),
    random: createTestRandom(),
    issuer: 'https://auth.example.com',
    audience: 'munjigi',
    ttl: 600,
  })
}

const KIM = {
  userId: 'usr_1',
  email: 'kim@example.com',
  sessionId: 'ses_1',
  sessionExpiresIn: 2_592_000,
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => 'nothing was thrown',
    (error: unknown) => error,
  )
}

describe('the id of a key', () => {
  test('is its thumbprint: the example of RFC 7638 §3.1', () => {
    const jwk = {
      kty: 'RSA',
      n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
      e: 'AQAB',
      alg: 'RS256',
      kid: '2011-04-29',
    }
    expect(publicHalf(jwk, 'RS256').kid).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  test('is its thumbprint: the example of RFC 8037 appendix A.3', () => {
    const jwk = { crv: 'Ed25519', kty: 'OKP', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    expect(publicHalf(jwk, 'EdDSA').kid).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })

  // One thumbprint in 64 does: `munjigi keys drop -kPr…` would be an unknown option.
  test('never begins with a dash', async () => {
    const keys = await Promise.all(Array.from({ length: 1_000 }, () => generateSigningKey('EdDSA')))
    expect(keys.filter(({ kid }) => kid.startsWith('-'))).toEqual([])
  })
})

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test('publishes public members only', async () => {
    const keys = await ringOf(await open(), { algorithm })
    const [jwk, ...others] = keys.jwks().keys
    if (!jwk) throw new Error('no key is published')
    expect(others).toEqual([])
    expect(Object.keys(jwk).sort()).toEqual([...PUBLISHED[algorithm]])
    expect(jwk).toMatchObject({
      alg: algorithm,
      use: 'sig',
      kid: publicHalf({ ...jwk }, algorithm).kid,
    })
    expect(keys.find(jwk.kid)).toEqual(jwk)
  })

  test('keeps nothing private in the database but what is sealed', async () => {
    const database = await open()
    const keys = await ringOf(database, { algorithm })
    const rows = JSON.stringify(await database.read((db) => db.select().from(signingKeys)))
    const { publicJwk, privateJwk } = keys.current()
    const secretMembers = Object.entries(privateJwk).filter(
      ([name, value]) => typeof value === 'string' && !(name in publicJwk),
    )
    expect(secretMembers.map(([name]) => name)).toContain('d')
    for (const [, value] of secretMembers) expect(rows).not.toContain(value)
  })

  test('issues tokens that another replica verifies', async () => {
    const database = await open()
    const [here, there] = [
      tokensOf(await ringOf(database, { algorithm })),
      tokensOf(await ringOf(database, { algorithm })),
    ]
    const { accessToken } = await here.issue(KIM)
    expect(await there.verify(accessToken)).toMatchObject({ sub: 'usr_1', sid: 'ses_1' })
    expect(await tokensOf(await ringOf(await open(), { algorithm })).verify(accessToken)).toBeNull()
  })
})

describe('one key for all', () => {
  test('twenty that open at once, over two connections, agree on one', async () => {
    const url = `file:${join(folder, 'twenty.db')}`
    const databases = [await open(url), await open(url)]
    const rings = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ringOf(databases[i % 2] as Database)),
    )
    const [first, ...others] = rings.map((ring) => ring.current())
    if (!first) throw new Error('no ring was opened')
    expect(others).toEqual(others.map(() => first))
    expect(new Set(rings.map((ring) => JSON.stringify(ring.jwks()))).size).toBe(1)
    for (const database of databases) await database.close()
  })

  test('of twenty that open at once one says that it made the key', async () => {
    const database = await open(`file:${join(folder, 'one.db')}`)
    const rings = await Promise.all(Array.from({ length: 20 }, () => ringOf(database)))
    expect(rings.filter((ring) => ring.isNew)).toHaveLength(1)
    await database.close()
  })

  test('a later start finds the key and makes none', async () => {
    const database = await open()
    const [first, second] = [await ringOf(database), await ringOf(database)]
    expect([first.isNew, second.isNew]).toEqual([true, false])
    expect(second.current()).toEqual(first.current())
  })

  test('an id that is not ours finds nothing', async () => {
    const keys = await ringOf(await open())
    for (const kid of ['', 'unknown', '__proto__', 'constructor']) expect(keys.find(kid)).toBeNull()
  })
})

describe('without the secret', () => {
  test('the key does not open, and the refusal tells nothing of it', async () => {
    const database = await open()
    const { privateJwk } = (await ringOf(database)).current()
    const [row] = await database.read((db) => db.select().from(signingKeys))
    const error = await failure(ringOf(database, { sealingKey: OTHER_SECRET }))
    expect(error).toBeInstanceOf(WrongSecret)
    const told = Bun.inspect(error, { depth: 10 })
    const untold = [privateJwk.d, row?.sealedPrivateJwk, row?.kid, ...keysAsText()]
    for (const value of untold) expect(told).not.toContain(value as string)
    // Nor is a second key made, under which replicas with the right secret could not sign.
    expect(await database.read((db) => db.$count(signingKeys))).toBe(1)
  })

  test('a sealed key that was moved to another id does not open', async () => {
    const { kid, privateJwk } = await generateSigningKey('ES256')
    const sealed = seal(JSON.stringify(privateJwk), SECRET, kid)
    expect(unseal(sealed, SECRET, kid)).toBe(JSON.stringify(privateJwk))
    expect(unseal(sealed, SECRET, `${kid}x`)).toBeNull()

    const database = await open()
    await ringOf(database)
    await database.write((db) => db.update(signingKeys).set({ kid }))
    expect(await failure(ringOf(database))).toBeInstanceOf(WrongSecret)
  })

  test('a sealed key of another row does not open in its place', async () => {
    const database = await open()
    await ringOf(database, { algorithm: 'ES256' })
    await (await ringOf(database, { algorithm: 'EdDSA' })).tend()
    const rows = await database.read((db) => db.select().from(signingKeys))
    const foreign = rows.find(({ algorithm }) => algorithm === 'EdDSA')?.sealedPrivateJwk ?? ''
    await database.write((db) =>
      db
        .update(signingKeys)
        .set({ sealedPrivateJwk: foreign })
        .where(eq(signingKeys.algorithm, 'ES256')),
    )
    expect(await failure(ringOf(database))).toBeInstanceOf(WrongSecret)
  })

  test('a key that somebody put into the database is not taken for one of ours', async () => {
    const database = await open()
    await ringOf(database)
    const foreign = await generateSigningKey('EdDSA')
    await database.write((db) =>
      db.insert(signingKeys).values({
        kid: foreign.kid,
        algorithm: foreign.algorithm,
        sealedPrivateJwk: seal(JSON.stringify(foreign.privateJwk), OTHER_SECRET, foreign.kid),
        createdAt: 0,
        signsFrom: 0,
      }),
    )
    expect(await failure(ringOf(database))).toBeInstanceOf(WrongSecret)
  })

  test('no key of another algorithm is made either', async () => {
    const database = await open()
    await ringOf(database, { algorithm: 'ES256' })
    const wrong = { algorithm: 'EdDSA', sealingKey: OTHER_SECRET } as const
    expect(await failure(ringOf(database, wrong))).toBeInstanceOf(WrongSecret)
    expect(await database.read((db) => db.$count(signingKeys))).toBe(1)
  })

  test('no changed byte and no shorter text opens', () => {
    const sealed = Buffer.from(seal('the key', SECRET, 'kid'), 'base64url')
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Buffer.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(unseal(changed.toString('base64url'), SECRET, 'kid')).toBeNull()
      expect(unseal(sealed.subarray(0, i).toString('base64url'), SECRET, 'kid')).toBeNull()
      expect(unseal(sealed.subarray(i + 1).toString('base64url'), SECRET, 'kid')).toBeNull()
    }
  })

  test('the same key sealed twice looks different', () => {
    expect(seal('the key', SECRET, 'kid')).not.toBe(seal('the key', SECRET, 'kid'))
  })
})

function keysAsText(): string[] {
  return [SECRET, OTHER_SECRET].flatMap((key) => [
    Buffer.from(key).toString('hex'),
    Buffer.from(key).toString('base64url'),
    key.join(),
  ])
}

test.each<[SigningAlgorithm, number]>([
  ['ES256', 256],
  ['EdDSA', 256],
  ['RS256', 3072],
])('a key of %s has %d bits (ASVS 11.2.3)', async (algorithm, bits) => {
  const { publicJwk } = await generateSigningKey(algorithm)
  const text = algorithm === 'RS256' ? publicJwk.n : publicJwk.x
  expect(Buffer.from(text ?? '', 'base64url')).toHaveLength(bits / 8)
})
