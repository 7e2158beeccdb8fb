// Access tokens: what is issued, and everything that is not accepted (security requirements F and 3g).

import { describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { sign } from 'hono/jwt'
import type { SigningAlgorithm } from '../config.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { SigningKey } from '../keys/signing-key.ts'
import { generateSigningKey } from '../keys/signing-key.ts'
import type { Clock } from '../platform/clock.ts'
import { createTestClock } from '../testing/clock.ts'
import { createTestRandom } from '../testing/random.ts'
import { createAccessTokens } from './access-token.ts'

const newKey = async (algorithm: SigningAlgorithm): Promise<SigningKey> => ({
  ...(await generateSigningKey(algorithm)),
  createdAt: 0,
  signsFrom: 0,
})
const SUBJECT = {
  userId: 'usr_1',
  email: 'kim@example.com',
  sessionId: 'ses_1',
  sessionExpiresIn: 2_592_000,
}
const ISSUER = 'https://auth.example.com'
const foreign = await newKey('ES256')
const keyFor = {
  ES256: await newKey('ES256'),
  EdDSA: await newKey('EdDSA'),
  RS256: await newKey('RS256'),
}

function ring(
  key: SigningKey,
  others: readonly SigningKey[] = [],
): Pick<KeyRing, 'current' | 'find'> {
  const all = [key, ...others]
  return {
    current: () => key,
    find: (kid) => all.find((k) => k.kid === kid)?.publicJwk ?? null,
  }
}

function optionsOf(clock: Clock, keys: Pick<KeyRing, 'current' | 'find'> = ring(keyFor.ES256)) {
  return { keys, clock, random: createTestRandom(), issuer: ISSUER, audience: 'munjigi', ttl: 600 }
}

function setUp(algorithm: SigningAlgorithm = 'ES256', others: readonly SigningKey[] = []) {
  const clock = createTestClock()
  const tokens = createAccessTokens(optionsOf(clock, ring(keyFor[algorithm], others)))
  const now = clock.now() / 1_000
  const claims = {
    iss: ISSUER,
    aud: 'munjigi',
    sub: 'usr_1',
    email: 'kim@example.com',
    email_verified: false,
    sid: 'ses_1',
    jti: 'jti_1',
    iat: now,
    exp: now + 600,
    token_use: 'access',
  }
  return { clock, tokens, now, claims }
}

const encode = (value: string | object) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const decode = (part = '') => JSON.parse(Buffer.from(part, 'base64url').toString())

/** A token that our key really signed, over any header and payload text. */
async function forge(
  header: string,
  payload: string,
  key: SigningKey = keyFor.ES256,
): Promise<string> {
  const input = `${encode(header)}.${encode(payload)}`
  const imported = await crypto.subtle.importKey(
    'jwk',
    key.privateJwk,
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  )
  const signature = await crypto.subtle.sign(
    { name: 'ECDSA', hash: 'SHA-256' },
    imported,
    Buffer.from(input),
  )
  return `${input}.${Buffer.from(signature).toString('base64url')}`
}

const HEADER = { alg: 'ES256', typ: 'JWT', kid: keyFor.ES256.kid }
const signed = (claims: object, header: object = HEADER) =>
  forge(JSON.stringify(header), JSON.stringify(claims))

describe('a token that was issued', () => {
  test.each(['ES256', 'EdDSA', 'RS256'] as const)(
    'by %s carries the claims of the contract, and verifies',
    async (algorithm) => {
      const { tokens, claims } = setUp(algorithm)
      const { accessToken, expiresIn } = await tokens.issue(SUBJECT)
      const [header, payload] = accessToken.split('.')
      expect(decode(header)).toEqual({ alg: algorithm, typ: 'JWT', kid: keyFor[algorithm].kid })
      expect(decode(payload)).toEqual(claims)
      expect(expiresIn).toBe(600)
      expect(await tokens.verify(accessToken)).toEqual(claims as never)
    },
  )

  test('verifies while its key is in the ring, also when another one signs', async () => {
    const { accessToken } = await setUp('EdDSA').tokens.issue(SUBJECT)
    expect(await setUp('ES256', [keyFor.EdDSA]).tokens.verify(accessToken)).not.toBeNull()
    expect(await setUp('ES256').tokens.verify(accessToken)).toBeNull()
  })

  test('is in force until it expires, with five seconds of leeway between clocks', async () => {
    const { tokens, clock } = setUp()
    const { accessToken } = await tokens.issue(SUBJECT)
    clock.advance('604s')
    expect(await tokens.verify(accessToken)).not.toBeNull()
    clock.advance('1s')
    expect(await tokens.verify(accessToken)).toBeNull()
  })

  test('is in force no longer than its session', async () => {
    const { tokens, clock } = setUp()
    const { accessToken, expiresIn } = await tokens.issue({ ...SUBJECT, sessionExpiresIn: 90 })
    expect(expiresIn).toBe(90)
    clock.advance('94s')
    expect(await tokens.verify(accessToken)).not.toBeNull()
    clock.advance('1s')
    expect(await tokens.verify(accessToken)).toBeNull()
  })

  test('is signed by a key that could not be read the first time', async () => {
    let fails = true
    const key: SigningKey = {
      ...keyFor.ES256,
      get privateJwk() {
        if (fails) throw new Error('not now')
        return keyFor.ES256.privateJwk
      },
    }
    const tokens = createAccessTokens(optionsOf(createTestClock(), ring(key)))
    await expect(tokens.issue(SUBJECT)).rejects.toThrow('not now')
    fails = false
    const { accessToken } = await tokens.issue(SUBJECT)
    expect(await tokens.verify(accessToken)).not.toBeNull()
  })

  test('lives for a second at least, even the last one of its session', async () => {
    const { tokens } = setUp()
    const { accessToken, expiresIn } = await tokens.issue({ ...SUBJECT, sessionExpiresIn: 0 })
    expect(expiresIn).toBe(1)
    expect(await tokens.verify(accessToken)).not.toBeNull()
  })

  test('is in force no longer than the lifetime that is set now, though it was issued with a longer one', async () => {
    const { tokens, clock } = setUp()
    const { accessToken } = await tokens.issue(SUBJECT)
    const shorter = createAccessTokens({ ...optionsOf(clock), ttl: 60 })
    clock.advance('64s')
    expect(await shorter.verify(accessToken)).not.toBeNull()
    clock.advance('1s')
    expect(await shorter.verify(accessToken)).toBeNull()
    expect(await tokens.verify(accessToken)).not.toBeNull()
  })

  test('that was verified before is judged again by its key and its time, and by its exact text', async () => {
    const { tokens, clock } = setUp()
    const { accessToken } = await tokens.issue(SUBJECT)
    expect(await tokens.verify(accessToken)).not.toBeNull()
    expect(await tokens.verify(accessToken)).not.toBeNull()
    // One signature in 256 ends like this by itself.
    const ending = accessToken.endsWith('AA') ? 'AQ' : 'AA'
    expect(await tokens.verify(`${accessToken.slice(0, -2)}${ending}`)).toBeNull()
    expect(await tokens.verify(accessToken.replace('.', '.A'))).toBeNull()
    clock.advance('605s')
    expect(await tokens.verify(accessToken)).toBeNull()
  })

  test('that was verified before is refused once its key is gone', async () => {
    const all: SigningKey[] = [keyFor.ES256]
    const keys = {
      current: () => keyFor.ES256,
      find: (kid: string) => all.find((k) => k.kid === kid)?.publicJwk ?? null,
    }
    const tokens = createAccessTokens(optionsOf(createTestClock(), keys))
    const { accessToken } = await tokens.issue(SUBJECT)
    expect(await tokens.verify(accessToken)).not.toBeNull()
    all.pop()
    expect(await tokens.verify(accessToken)).toBeNull()
  })

  test('does not verify after any bit of any part was flipped', async () => {
    const { tokens } = setUp()
    const { accessToken } = await tokens.issue(SUBJECT)
    const [header = '', payload = '', signature = ''] = accessToken
      .split('.')
      .map((part) => Buffer.from(part, 'base64url'))
    const flip = (bytes: Buffer | string, at: number) =>
      Buffer.from(bytes).map((byte, i) => (i === at ? byte ^ 1 : byte))
    const text = (...parts: Array<Buffer | Uint8Array | string>) =>
      parts.map((part) => Buffer.from(part).toString('base64url')).join('.')
    for (let i = 0; i < header.length; i += 1)
      expect(await tokens.verify(text(flip(header, i), payload, signature))).toBeNull()
    for (let i = 0; i < payload.length; i += 7)
      expect(await tokens.verify(text(header, flip(payload, i), signature))).toBeNull()
    for (let i = 0; i < signature.length; i += 1)
      expect(await tokens.verify(text(header, payload, flip(signature, i)))).toBeNull()
  })
})

describe('the signature, though right, does not help a header that', () => {
  const { tokens, claims } = setUp()
  const { alg, typ, kid } = HEADER
  test.each<[string, object | string]>([
    ['names no key', { alg, typ }],
    ['names an unknown key', { alg, typ, kid: 'unknown' }],
    ['names a path', { alg, typ, kid: '../../../dev/null' }],
    ['names SQL', { alg, typ, kid: "x' UNION SELECT 'x" }],
    ['names a list of keys', { alg, typ, kid: [kid] }],
    ['names a property of objects', { alg, typ, kid: '__proto__' }],
    ['has no type', { alg, kid }],
    ['has another type', { alg, typ: 'at+jwt', kid }],
    ['has a type in another case', { alg, typ: 'jwt', kid }],
    ['has an algorithm in another case', { alg: 'es256', typ, kid }],
    ['has none for an algorithm', { alg: 'none', typ, kid }],
    ['has None for an algorithm', { alg: 'None', typ, kid }],
    ['has an empty algorithm', { alg: '', typ, kid }],
    ['has another algorithm of the family', { alg: 'ES384', typ, kid }],
    ['has a symmetric algorithm', { alg: 'HS256', typ, kid }],
    ['brings its own key', { alg, typ, kid, jwk: foreign.publicJwk }],
    ['says where to fetch a key', { alg, typ, kid, jku: 'http://127.0.0.1:9/jwks.json' }],
    ['says where to fetch a certificate', { alg, typ, kid, x5u: 'http://127.0.0.1:9/x' }],
    ['brings a certificate', { alg, typ, kid, x5c: ['MIIB'] }],
    ['demands an extension', { alg, typ, kid, crit: ['exp'] }],
    ['leaves the payload unencoded', { alg, typ, kid, b64: false, crit: ['b64'] }],
    ['says a thing twice', `{"alg":"none","alg":"ES256","typ":"JWT","kid":"${kid}"}`],
    ['has white space', `{"alg": "ES256","typ":"JWT","kid":"${kid}"}`],
    ['sets a prototype', `{"alg":"ES256","typ":"JWT","kid":"${kid}","__proto__":{}}`],
    ['is a list', '[]'],
    ['is null', 'null'],
  ])('%s', async (_, header) => {
    const token = await forge(
      typeof header === 'string' ? header : JSON.stringify(header),
      JSON.stringify(claims),
    )
    expect(await tokens.verify(token)).toBeNull()
  })

  test('nothing was wrong with the forging', async () => {
    expect(await tokens.verify(await signed(claims))).toEqual(claims as never)
  })
})

describe('the signature, though right, does not help a payload that', () => {
  const { tokens, claims, now } = setUp()
  const without = (name: string) =>
    Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name))
  test.each<[string, object | string]>([
    ...Object.keys(claims).map((name): [string, object] => [`lacks ${name}`, without(name)]),
    ['is of another issuer', { ...claims, iss: 'https://evil.example' }],
    ['is of an issuer that differs by a slash', { ...claims, iss: `${ISSUER}/` }],
    ['is for another audience', { ...claims, aud: 'other' }],
    ['is for several audiences', { ...claims, aud: ['munjigi', 'other'] }],
    ['is another kind of token', { ...claims, token_use: 'refresh' }],
    ['has expired', { ...claims, iat: now - 700, exp: now - 5 }],
    ['expires as text', { ...claims, exp: String(now + 600) }],
    ['expires at a fraction', { ...claims, exp: now + 0.5 }],
    ['expires before it begins', { ...claims, exp: now - 1, iat: now }],
    ['expires as it begins', { ...claims, exp: now, iat: now }],
    ['expires never', JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e400')],
    ['expires in more than a day', { ...claims, exp: now + 86_401 }],
    ['was issued in the future', { ...claims, iat: now + 6 }],
    ['is not valid yet', { ...claims, nbf: now + 6 }],
    ['is valid from a text on', { ...claims, nbf: '0' }],
    ['has no subject in it', { ...claims, sub: '' }],
    ['has a number for a subject', { ...claims, sub: 1 }],
    ['has two subjects', JSON.stringify(claims).replace('"sub":', '"sub":"usr_2","sub":')],
    ['is a list', '[]'],
    ['has more in it than any of ours', { ...claims, more: Array(201).fill([1000]) }],
    ['is not JSON', 'hello'],
  ])('%s', async (_, payload) => {
    const token = await forge(
      JSON.stringify(HEADER),
      typeof payload === 'string' ? payload : JSON.stringify(payload),
    )
    expect(await tokens.verify(token)).toBeNull()
  })

  test.each<[string, object]>([
    ['was issued five seconds ahead of our clock', { ...claims, iat: now + 5 }],
    ['is valid from five seconds ahead of our clock on', { ...claims, nbf: now + 5 }],
    ['expires in a day', { ...claims, exp: now + 86_400 }],
    ['has claims we do not know', { ...claims, roles: ['admin'], nbf: now }],
  ])('%s: accepted', async (_, payload) => {
    expect(await tokens.verify(await signed(payload))).not.toBeNull()
  })
})

describe('a signature that is not ours', () => {
  const { tokens, claims } = setUp()
  const input = `${encode(HEADER)}.${encode(claims)}`
  const hmac = (key: string) =>
    createHmac('sha256', key)
      .update(`${encode({ ...HEADER, alg: 'HS256' })}.${encode(claims)}`)
      .digest('base64url')
  const { x, y } = keyFor.ES256.publicJwk
  test.each<[string, () => string | Promise<string>]>([
    [
      'by another key under our key id',
      () => forge(JSON.stringify(HEADER), JSON.stringify(claims), foreign),
    ],
    [
      'by another key under its own id',
      () => sign(claims, { ...foreign.privateJwk, kid: foreign.kid, alg: 'ES256' }, 'ES256'),
    ],
    [
      'by the public key as JSON, symmetric',
      () =>
        `${encode({ ...HEADER, alg: 'HS256' })}.${encode(claims)}.${hmac(JSON.stringify(keyFor.ES256.publicJwk))}`,
    ],
    [
      'by the public key as bytes, symmetric',
      () => `${encode({ ...HEADER, alg: 'HS256' })}.${encode(claims)}.${hmac(`${x}${y}`)}`,
    ],
    ['absent', () => `${input}.`],
    ['of zeros (CVE-2022-21449)', () => `${input}.${Buffer.alloc(64).toString('base64url')}`],
    ['of ones', () => `${input}.${Buffer.alloc(64, 0xff).toString('base64url')}`],
    ['cut short', async () => (await signed(claims)).slice(0, -4)],
  ])('%s', async (_, token) => {
    expect(await tokens.verify(await token())).toBeNull()
  })
})

describe('one token has one spelling: not accepted', async () => {
  const { tokens } = setUp()
  const token = await tokenWithBothOddLetters()
  const [header = '', payload = '', signature = ''] = token.split('.')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const long = await signed({ ...setUp().claims, roles: 'x'.repeat(8_192) })
  const lastBits = alphabet[alphabet.indexOf(signature.at(-1) ?? '') ^ 1] ?? ''
  test.each([
    ['padding', `${token}==`],
    ['a trailing line break', `${token}\n`],
    ['white space inside', `${header}. ${payload}.${signature}`],
    ['stray bits in the last character', token.slice(0, -1) + lastBits],
    ['the other base64 alphabet', token.replaceAll('-', '+').replaceAll('_', '/')],
    ['four parts', `${token}.${signature}`],
    ['five parts (JWE)', `${header}..${payload}.${signature}.${signature}`],
    ['two parts', `${header}.${payload}`],
    ['the JSON serialisation', JSON.stringify({ protected: header, payload, signature })],
    [
      'a header of invalid UTF-8',
      `${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${payload}.${signature}`,
    ],
    ['nothing', ''],
    ['garbage', 'garbage'],
    ['more than 8 KiB', long],
    ['5 MB', 'a'.repeat(5_000_000)],
  ])('%s', async (_, text) => {
    expect(await tokens.verify(text)).toBeNull()
  })
})

/** Its text must have both letters in which the alphabets differ. */
async function tokenWithBothOddLetters(): Promise<string> {
  for (;;) {
    const token = await signed(setUp().claims)
    if (/-/.test(token) && /_/.test(token)) return token
  }
}
