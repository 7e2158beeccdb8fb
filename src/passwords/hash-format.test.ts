// Hashes of other systems, made by their own libraries (Django 5.2, bcrypt 5.0 and argon2-cffi 25.1 for Python, passlib 1.7,
// better-auth 1.7):
// each verifies, nothing else does, and none may ask for more than we give.

import { describe, expect, test } from 'bun:test'
import { scryptSync } from 'node:crypto'
import { ConfigFaults } from '../config.ts'
import { createTestRandom } from '../testing/random.ts'
import { memoryOf, readHash, verifyHash } from './hash-format.ts'
import { createBunHasher } from './hasher.ts'
import { loadNativeHasher } from './native-hasher.ts'
import type { Password } from './password.ts'

const PASSWORD = '문지기 correct horse' as Password
const cost = { memoryKib: 64, passes: 2 }
const bun = createBunHasher(cost)
const native = await loadNativeHasher(cost, createTestRandom())

const VECTORS: ReadonlyArray<readonly [string, string]> = [
  [
    'Django pbkdf2_sha256',
    'pbkdf2_sha256$1000$saltsaltsalt$gEH49FNBBqFmhxphsXNDI6GFVPw+eaTStjJO3D6hzis=',
  ],
  ['Django pbkdf2_sha1', 'pbkdf2_sha1$1000$saltsaltsalt$gr/SX3jB+8geBw6rZ5/J7AXYYiw='],
  [
    'passlib pbkdf2_sha256',
    '$pbkdf2-sha256$1000$qBWilDLGeC9lzPkfo9T6nw$64t8E0OCSoEHaRD9KDC6WC57so4YpqIWpHcpdvIWaJA',
  ],
  [
    'passlib pbkdf2_sha512, with a point for a plus',
    '$pbkdf2-sha512$25000$zFnrHcNYC4Ew5vw/J8QYAw$toKRf0vwAo6PXMkt5A66I.0z2FzxV7hDPiGpST89n4z8TcwHdNrN47u11LjTaJYTtpAGu/sJwFevnddXPfWvEw',
  ],
  [
    '@phc/pbkdf2 1.1 for Node',
    '$pbkdf2-sha512$i=1000$MZ6SDMG/quNoiQjvbZBYlA$usRxdwqk4zvhaH2+IrzraZRX654+zNrFalkjCJg8eCPWt9L3utzKoZs5U136qEhMykikeHT0gnCrHmHQuzPw/w',
  ],
  [
    'Django scrypt',
    'scrypt$1024$saltsaltsalt$8$1$G35QgBEn3zu6MiG6xJFBOD0+hzxMCGfxDEpyFijelOwGpz0eQFi7N18UvgAK8Z+ihxhiPMuThQ2++bMnLlIMdw==',
  ],
  [
    'Django argon2',
    'argon2$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHRzYWx0$9SNisUrkzlMhPTf3Lp1LqtCdM6uKf+CJg33JfRB3ZYk',
  ],
  ['Django bcrypt', 'bcrypt$$2b$04$jBWxQwlucOaXlSEWefjJwuT7HohF9PS1JSSqJIHX2O9ZdvAXCkusC'],
  [
    'Django bcrypt_sha256',
    'bcrypt_sha256$$2b$04$/M7A5d8Hk9xzI2Fq7Y/x8unCqeTzinJAewkrUhFLiqDgOj1mUYHeS',
  ],
  ['bcrypt 2a', '$2a$04$Y20ovsBvL7YCZcFzlc5B9.WMPBIblDvw/.WWEQIS2hK4QK3wB1eWm'],
  ['bcrypt 2b', '$2b$04$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq'],
  ['bcrypt 2y', '$2y$04$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq'],
  ['argon2i', '$argon2i$v=19$m=64,t=2,p=4$jVHQUup2jUnnPsBRpXNAJw$vUilpxgAMGnl7uSsdMHfWw'],
  ['argon2d', '$argon2d$v=19$m=64,t=2,p=4$NnLmwvKwFhxrE0gbPatUOQ$daDYW6VoLdCymqw/R5lJjQ'],
  ['argon2id', '$argon2id$v=19$m=64,t=2,p=4$+YlGPFXPvBLbEh5eTEyOHA$Ll163R7XBD5q1aCBt8DaQQ'],
  [
    'argon2 0.45 for Node, which writes m, p, t',
    '$argon2id$v=19$m=1024,p=2,t=2$7qC/XicBB4orrF423WHEDQ$bf5IoFyRjpWWLM8EitCDrm45JpI4WrCWsk6YxJa7idw',
  ],
  [
    '@phc/argon2 1.0 for Node, which writes t, m, p',
    '$argon2id$v=19$t=2,m=1024,p=1$ifjp3mJKaz45n9+CUesxew$O5UMyTcSXrTVslmTorDXgrASXFPgrTAfZd1Cl3l/FKY',
  ],
  [
    'scrypt as PHC string',
    '$scrypt$ln=10,r=8,p=1$t7YWIsR4TylFiNF6D8HYmw$dGerBZmRlyoDSoFjEGfDGiIw0zIUp5CoAYdrX4ohUsw',
  ],
  [
    'better-auth, as docs/passwords.md writes it',
    '$scrypt$ln=14,r=16,p=1$MjExMmM1MWZiOGFiOWI5NDU0M2ZiOWU3MzJiOGM1Yjc$HpJoSnyNd1j7an8ilNElvmeBHKnvr1nTDAEDWVz+06bbxXa6TNJJGm3FVDzrKvyHHTFh0fgMLMgG+BaGd8uftQ',
  ],
]

describe.each([bun, native].map((hasher) => [hasher.engine, hasher] as const))(
  'with the engine %s',
  (_, hasher) => {
    test.each(VECTORS)('%s verifies its password and no other', async (_name, hash) => {
      expect(await verifyHash(hasher, PASSWORD, hash)).toBe(true)
      expect(await verifyHash(hasher, `${PASSWORD}.` as Password, hash)).toBe(false)
      expect(await verifyHash(hasher, PASSWORD.slice(0, -1) as Password, hash)).toBe(false)
    })
  },
)

test('the engines verify the hashes of each other, and make hashes of one shape', async () => {
  const [fromBun, fromNative] = [await bun.hash(PASSWORD), await native.hash(PASSWORD)]
  for (const [hasher, hash] of [
    [native, fromBun],
    [bun, fromNative],
  ] as const) {
    expect(await verifyHash(hasher, PASSWORD, hash)).toBe(true)
    expect(await verifyHash(hasher, `${PASSWORD}.` as Password, hash)).toBe(false)
  }
  const shape = (hash: string) => hash.replace(/[A-Za-z0-9+/]{43}/g, '#')
  expect(shape(fromNative)).toBe(shape(fromBun))
})

test('the native engine is an error at the start where its package does not load', async () => {
  const loading = loadNativeHasher(cost, createTestRandom(), () =>
    Promise.reject(new Error('Cannot find native binding')),
  )
  const error = await loading.catch((error: unknown) => error)
  expect(error).toBeInstanceOf(ConfigFaults)
  expect(String(error)).toContain('MUNJIGI_PASSWORD_ENGINE')
  expect(String(error)).toContain('@node-rs/argon2')
})

describe('the traits of bcrypt', () => {
  /** Of the first 72 of many x, by Python's bcrypt. */
  const LONG = '$2b$04$mZzxbsewjFLcp2Gt0OU07.IQN3RiBNbFpeelOZ7NGqBvELPm2/IGG'
  const hashOf = (password: string) => Bun.password.hash(password, { algorithm: 'bcrypt', cost: 4 })

  test.each([
    [71, false],
    [72, true],
    [73, true],
    [100, true],
  ])('it looked at 72 bytes of a password of %d', async (length, expected) => {
    expect(await verifyHash(bun, 'x'.repeat(length) as Password, LONG)).toBe(expected)
  })

  test('a password with a NUL never matches: to bcrypt, a and a␀a are one', async () => {
    const hash = await hashOf('munjigi door')
    expect(await verifyHash(bun, 'munjigi door' as Password, hash)).toBe(true)
    expect(await verifyHash(bun, 'munjigi door\0munjigi door' as Password, hash)).toBe(false)
    expect(await verifyHash(bun, 'munjigi door\0' as Password, hash)).toBe(false)
  })
})

describe('better-auth, Lucia and Oslo put passwords into NFKC', () => {
  /** Of the password below, by better-auth, as docs/passwords.md writes it. */
  const THEIRS =
    '$scrypt$ln=14,r=16,p=1$MDgwYmY0YjlmMjk1YzlmNTZjMWNkMDVjYTAxYWJkYjc$lPojg7R7v5sL4xRHkN246hmEtRNSSzUuvZuhXbKXztznLUVFyQJIc4YwFGrTExCXCR8QKyx/oSkjF9Kvann3yA'
  /** Of another library, which hashes a password as it is. */
  const OTHERS =
    '$scrypt$ln=10,r=8,p=1$t7YWIsR4TylFiNF6D8HYmw$dGerBZmRlyoDSoFjEGfDGiIw0zIUp5CoAYdrX4ohUsw'

  test('so Korean letters that stand alone, and wide Latin ones, are theirs', async () => {
    expect(await verifyHash(bun, 'ㅋㅋㅋ 문지기 ｈｏｒｓｅ' as Password, THEIRS)).toBe(true)
    expect(await verifyHash(bun, 'ㅋㅋ 문지기 ｈｏｒｓｅ' as Password, THEIRS)).toBe(false)
  })

  test('and to nobody else are wide letters the same as usual ones', async () => {
    expect(await verifyHash(bun, PASSWORD, OTHERS)).toBe(true)
    expect(await verifyHash(bun, '문지기 ｃorrect horse' as Password, OTHERS)).toBe(false)
    // A salt in hexadecimal, as theirs, but another size of blocks.
    const [password, salt] = ['ㅋㅋㅋ' as Password, '0123456789abcdef'.repeat(2)]
    const digest = scryptSync(password, salt, 64, { N: 16, r: 8, p: 1 }).toString('base64')
    expect(await verifyHash(bun, password, `scrypt$16$${salt}$8$1$${digest}`)).toBe(true)
  })
})

describe('what cannot be checked is refused before any work', () => {
  const argon2 = (parameters: string) =>
    `$argon2id$v=19$${parameters}$c2FsdHNhbHRzYWx0$9SNisUrkzlMhPTf3Lp1LqtCdM6uKf+CJg33JfRB3ZYk`
  const bcrypt = (cost: string) =>
    `$2b$${cost}$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq`
  const scrypt = (parameters: string) =>
    `$scrypt$${parameters}$t7YWIsR4TylFiNF6D8HYmw$dGerBZmRlyoDSoFjEGfDGiIw0zIUp5CoAYdrX4ohUsw`
  const pbkdf2 = (iterations: number) =>
    `pbkdf2_sha256$${iterations}$saltsaltsalt$gEH49FNBBqFmhxphsXNDI6GFVPw+eaTStjJO3D6hzis=`
  const long = (digest: string, bytes: number) =>
    `pbkdf2_${digest}$1000$saltsaltsalt$${Buffer.alloc(bytes, 7).toString('base64')}`
  const phcPbkdf2 = (head: string, bytes: number) =>
    `$pbkdf2-${head}$MZ6SDMG/quNoiQjvbZBYlA$${Buffer.alloc(bytes, 7).toString('base64').replace(/=+$/, '')}`
  const salted = (salt: string) => pbkdf2(1_000).replace('saltsaltsalt', salt)
  const djangoScrypt = (salt: string, n = 1_024) =>
    `scrypt$${n}$${salt}$8$1$${Buffer.alloc(64, 7).toString('base64')}`
  test.each([
    ['argon2 that wants 10 GiB', argon2('m=10485760,t=1,p=1'), 'too_costly'],
    ['argon2 that wants more than 256 MiB', argon2('m=262145,t=1,p=1'), 'too_costly'],
    ['argon2 that wants 1,000 passes', argon2('m=64,t=1000,p=1'), 'too_costly'],
    ['argon2 that wants 200 lanes', argon2('m=65536,t=1,p=200'), 'too_costly'],
    ['argon2 with much of both', argon2('m=262144,t=20,p=1'), 'too_costly'],
    ['argon2 with its memory last', argon2('t=1,p=1,m=262145'), 'too_costly'],
    ['argon2 with its memory twice', argon2('m=64,m=64,t=1'), 'unknown_format'],
    ['argon2 without a parameter', argon2('m=64,t=1'), 'unknown_format'],
    ['argon2 of version 16', argon2('m=64,t=1,p=1').replace('v=19', 'v=16'), 'unknown_format'],
    ['bcrypt of cost 31', bcrypt('31'), 'too_costly'],
    ['bcrypt of cost 15', bcrypt('15'), 'too_costly'],
    ['bcrypt of cost 3', bcrypt('03'), 'unknown_format'],
    ['bcrypt of the broken kind', bcrypt('10').replace('2b', '2x'), 'unknown_format'],
    ['scrypt that wants 4 GiB', scrypt('ln=22,r=8,p=1'), 'too_costly'],
    ['scrypt that wants 999 lanes', scrypt('ln=14,r=8,p=999'), 'too_costly'],
    ['scrypt of no block', scrypt('ln=14,r=0,p=1'), 'unknown_format'],
    ['scrypt of no lane', scrypt('ln=14,r=8,p=0'), 'unknown_format'],
    ['scrypt of one round', scrypt('ln=0,r=8,p=1'), 'unknown_format'],
    ['scrypt of rounds that are no power of two', djangoScrypt('salt', 1_000), 'unknown_format'],
    ['PBKDF2 of a hundred million rounds', pbkdf2(100_000_000), 'too_costly'],
    ['PBKDF2 of no round', pbkdf2(0), 'unknown_format'],
    ['PBKDF2 of a digest that takes all rounds seven times', long('sha1', 129), 'unknown_format'],
    ['PBKDF2 of a digest that takes them twice', long('sha1', 32), 'unknown_format'],
    ['PBKDF2 of a digest that was cut off', long('sha256', 31), 'unknown_format'],
    ['PBKDF2 of a digest of another length', long('sha256', 20), 'unknown_format'],
    ['PBKDF2-SHA512 of ten million rounds', phcPbkdf2('sha512$10000000', 64), 'too_costly'],
    ['PBKDF2-SHA256 that takes its rounds twice', phcPbkdf2('sha256$1000', 64), 'unknown_format'],
    ['PBKDF2-SHA512 of a third of its digest', phcPbkdf2('sha512$i=1000', 21), 'unknown_format'],
    ['PBKDF2 with a salt of two bytes that became one sign', salted('s\uFFFDlt'), 'unknown_format'],
    ['PBKDF2 with half a character in its salt', salted('s\uD800lt'), 'unknown_format'],
    ['scrypt with a NUL in its salt', djangoScrypt('s\0lt'), 'unknown_format'],
    ['MD5', 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99', 'unknown_format'],
    ['a password', 'correct horse battery staple', 'unknown_format'],
    ['nothing', '', 'unknown_format'],
    ['a megabyte', `$2b$04$${'a'.repeat(1_000_000)}`, 'unknown_format'],
  ])('%s', async (_, hash, fault) => {
    expect(readHash(hash)).toBe(fault as never)
    expect(await verifyHash(bun, PASSWORD, hash)).toBeNull()
  })

  test('and so is what has the right shape, once its library cannot read it', async () => {
    const hash = argon2('m=64,t=1,p=1').replace('c2FsdHNhbHRzYWx0', 'c2FsdHNhbHRzYWx0a')
    expect(readHash(hash)).toHaveProperty('verify')
    expect(await verifyHash(bun, PASSWORD, hash)).toBeNull()
  })

  test('what common libraries write by default is within the bounds', () => {
    for (const hash of [
      argon2('m=65536,t=3,p=4'),
      argon2('m=102400,t=2,p=8'),
      argon2('m=262144,t=3,p=1'),
      bcrypt('14'),
      scrypt('ln=17,r=8,p=1'),
      scrypt('ln=14,r=16,p=1'),
      pbkdf2(1_500_000),
      phcPbkdf2('sha512$i=310000,l=64', 64),
      phcPbkdf2('sha512$100000', 32),
    ])
      expect(readHash(hash)).toHaveProperty('verify')
  })
})

test.each([
  ['argon2', '$argon2id$v=19$m=65536,t=3,p=4$', 65_536],
  ["Django's argon2", 'argon2$argon2id$v=19$m=102400,t=2,p=8$', 102_400],
  ['scrypt', '$scrypt$ln=18,r=8,p=1$', 262_144],
  ["Django's scrypt", 'scrypt$16384$saltsaltsalt$8$1$', 16_384],
  ['PBKDF2', 'pbkdf2_sha256$1000$saltsaltsalt$', 0],
  ['what is no hash', 'nonsense$', 0],
])('of %s it is known how much memory it takes', (_, head, kib) => {
  const [salt, digest] = ['A'.repeat(22), `${'A'.repeat(43)}=`]
  const isPhc = head.includes('argon2') || head.startsWith('$scrypt')
  expect(memoryOf(isPhc ? `${head}${salt}$${digest.slice(0, -1)}` : `${head}${digest}`)).toBe(kib)
})
