// Passwords: what may be one, what stays different, what becomes the same.

import { describe, expect, test } from 'bun:test'
import { AuthError, ClientLeft } from '../errors.ts'
import type { Statement } from '../storage/statement.ts'
import { createTestApp } from '../testing/app.ts'
import { createTestRandom } from '../testing/random.ts'
import { FREE_ATTEMPT } from '../testing/throttle.ts'
import type { Attempt } from '../throttle/throttle.ts'
import type { PasswordHash } from './hasher.ts'
import { createBunHasher, decoyOf } from './hasher.ts'
import type { Password } from './password.ts'
import { parsePassword, readPassword } from './password.ts'
import type { WithHash } from './passwords.ts'
import { createPasswords } from './passwords.ts'

const rules = { minLength: 8, field: 'password' }
const cost = { memoryKib: 8, passes: 1 }
const hasher = createBunHasher(cost)

const FIND: Statement<WithHash> = { sql: '', args: [] }

/** An attempt that is free, and finds a row with this hash, or none. */
function attemptThatFinds(hash: string | undefined): Attempt {
  const rows: unknown[] = hash === undefined ? [] : [{ passwordHash: hash }]
  return { ...FREE_ATTEMPT, charge: async <Row>() => rows as Row[] }
}

function refusal(text: string): unknown {
  try {
    parsePassword(text, rules)
    return 'accepted'
  } catch (error) {
    return (
      error instanceof AuthError &&
      [error.code, error.details.reason, error.details.field].join(' ')
    )
  }
}

describe('length is counted in code points after NFC (ASVS 6.2.1, 6.2.9)', () => {
  test.each([
    ['seven letters', 'WEAK_PASSWORD too_short password', '1234567'],
    ['eight letters', 'accepted', '12345678'],
    ['nothing', 'WEAK_PASSWORD too_short password', ''],
    ['seven emoji', 'WEAK_PASSWORD too_short password', '🚪'.repeat(7)],
    ['eight emoji', 'accepted', '🚪'.repeat(8)],
    [
      'seven letters with accents',
      'WEAK_PASSWORD too_short password',
      'é'.normalize('NFD').repeat(7),
    ],
    ['eight letters with accents', 'accepted', 'é'.normalize('NFD').repeat(8)],
    ['eight syllables of Hangul', 'accepted', '문지기를위한암호'.normalize('NFD')],
    ['1,024 letters', 'accepted', 'x'.repeat(1_024)],
    ['1,024 emoji', 'accepted', '🚪'.repeat(1_024)],
    ['1,025 letters', 'WEAK_PASSWORD too_long password', 'x'.repeat(1_025)],
  ])('%s: %s', (_, expected, text) => {
    expect(refusal(text)).toBe(expected)
  })
})

test('text that is not well-formed is refused: lone surrogates would all be one password', () => {
  expect(refusal('long enough \uD800')).toBe('WEAK_PASSWORD malformed password')
  expect(readPassword('long enough \uD801')).toBeNull()
})

test('a run of marks that no writing has is refused: to put it in order takes quadratic time', () => {
  const marks = (count: number) => `seven willows ${'\u0316\u0301'.repeat(count)}`
  expect(refusal(marks(15))).toBe('accepted')
  expect(refusal(marks(16))).toBe('WEAK_PASSWORD malformed password')
  expect(readPassword(marks(16))).toBeNull()
  expect(refusal(marks(50_000))).toBe('WEAK_PASSWORD too_long password')
  expect(readPassword('x'.repeat(100_000))).toBeNull()
})

test('a password that nobody can have is not even read', () => {
  expect(readPassword('')).toBeNull()
  expect(readPassword('x'.repeat(1_025))).toBeNull()
  expect(readPassword('short')).not.toBeNull()
})

describe('what verifies', () => {
  const verifies = async (chosen: string, tried: string) => {
    const attempt = readPassword(tried)
    return (
      attempt !== null &&
      (await hasher.verify(attempt, await hasher.hash(parsePassword(chosen, rules))))
    )
  }
  test.each([
    ['the same', 'correct horse', 'correct horse', true],
    ['the same in another normal form', 'caf\u00e9 ole ole', 'cafe\u0301 ole ole', true],
    ['not a compatible character', 'ﬁsh and chips', 'fish and chips', false],
    ['not another case', 'Correct Horse', 'correct horse', false],
    ['not without its outer spaces', ' correct horse ', 'correct horse', false],
    ['not what differs after a NUL', 'abcdefg\0one', 'abcdefg\0two', false],
    ['not what differs after 72 bytes', `${'a'.repeat(72)}1`, `${'a'.repeat(72)}2`, false],
    ['not what differs after 255 bytes', `${'a'.repeat(255)}1`, `${'a'.repeat(255)}2`, false],
    [
      'not what differs in the last of 1,024',
      `${'a'.repeat(1_023)}1`,
      `${'a'.repeat(1_023)}2`,
      false,
    ],
  ])('%s', async (_, chosen, tried, expected) => {
    expect(await verifies(chosen, tried)).toBe(expected)
  })
})

describe('the hash', () => {
  test('is argon2id at the cost that OWASP names, with a salt and a digest of 32 bytes (ASVS 11.4.2)', async () => {
    const hash = await createBunHasher({ memoryKib: 19_456, passes: 2 }).hash(
      'correct horse' as Password,
    )
    expect(hash).toMatch(
      /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{43}\$[A-Za-z0-9+/]{43}$/,
    )
  })

  test('of one password is never the same twice', async () => {
    const hashes = await Promise.all(
      Array.from({ length: 100 }, () => hasher.hash('correct horse' as Password)),
    )
    expect(new Set(hashes).size).toBe(100)
  })

  test.each([
    [8, 1],
    [64, 3],
  ])(
    'that is a decoy has the form and the cost of a real one of %d KiB and %d passes, and matches nothing',
    async (memoryKib, passes) => {
      const today = createBunHasher({ memoryKib, passes })
      const [real, decoy] = [
        await today.hash('correct horse' as Password),
        decoyOf(today.cost, createTestRandom()),
      ]
      const shape = (hash: string) => hash.replace(/[A-Za-z0-9+/]{43}/g, '#')
      expect(shape(decoy)).toBe(shape(real))
      expect(await today.verify('correct horse' as Password, decoy)).toBe(false)
    },
  )

  test('that cannot be read is no match rather than an error, and takes as long as for nobody', async () => {
    const { metrics, clock, random } = await createTestApp()
    const checked: string[] = []
    const passwords = createPasswords({
      hasher: {
        ...hasher,
        verify(text, hash) {
          checked.push(hash)
          clock.advance('2s')
          return hasher.verify(text, hash)
        },
      },
      limits: { running: 1, waiting: 0, patience: 0 },
      clock,
      random,
      metrics,
      report: () => {},
    })
    const check = async (hash: string | undefined) => {
      const terms = { attempt: attemptThatFinds(hash), client: { address: '192.0.2.1' } }
      return (await passwords.check('correct horse' as Password, FIND, terms)).matches
    }
    expect(await check(undefined)).toBe(false)
    for (const text of [
      'not a hash',
      '$2b$31$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq',
    ])
      expect(await check(text)).toBe(false)
    expect(checked).toEqual(Array.from({ length: 3 }, () => expect.stringMatching(/^\$argon2id/)))
    expect(new Set(checked).size).toBe(1)
    expect(await metrics.print()).toContain('munjigi_password_hash_seconds_sum{engine="bun"} 6\n')
  })

  describe('that takes much memory', async () => {
    const { metrics, clock, random } = await createTestApp()
    const hashOf = (kib: number) =>
      `$argon2id$v=19$m=${kib},t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}` as PasswordHash

    /** Our hashes take 8 KiB, or as much as is set. `finish` lets all that are at work match, and returns how many they were. */
    function onCores(running: number, memoryKib = 8) {
      const working: Array<() => void> = []
      const passwords = createPasswords({
        hasher: {
          ...createBunHasher({ memoryKib, passes: 1 }),
          verify: () => new Promise((resolve) => working.push(() => resolve(true))),
        },
        limits: { running, waiting: 32, patience: 2_000 },
        clock,
        random,
        metrics,
        report: () => {},
      })
      const check = (kib: number, signal?: AbortSignal) =>
        passwords
          .check('correct horse' as Password, FIND, {
            attempt: attemptThatFinds(hashOf(kib)),
            client: { address: '192.0.2.1', ...(signal ? { signal } : {}) },
          })
          .then(({ matches }) => matches)
          .catch((error) => (error instanceof ClientLeft ? 'left' : error.code))
      const finish = async () => {
        await turn()
        const all = working.splice(0)
        for (const end of all) end()
        return all.length
      }
      return { check, finish }
    }
    /** Waits until everything that can go on by itself has gone on. */
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make)

    test.each([
      [32 * 1_024, 8],
      // Of ours, as it is set.
      [65_536, 65_536],
    ])('is not one of %d KiB where ours take %d', async (kib, memoryKib) => {
      const { check, finish } = onCores(8, memoryKib)
      const checks = times(8, () => check(kib))
      expect(await finish()).toBe(8)
      expect(await Promise.all(checks)).toEqual(times(8, () => true))
    })

    test.each([
      [1, [1, 1, 1, 1, 1, 1, 1, 1, 1]],
      [2, [2, 2, 2, 2, 2]],
      // Six others first, then the last two of them beside the next two.
      [8, [8, 4, 2, 2]],
    ])(
      'on %d cores is one of two that are checked at a time, and those in line keep no place of the others',
      async (cores, together) => {
        const { check, finish } = onCores(cores)
        const large = times(8, () => check(32 * 1_024 + 1))
        await turn()
        const usual = times(cores, () => check(8))
        const finished: number[] = []
        for (let n = await finish(); n > 0; n = await finish()) finished.push(n)
        expect(finished).toEqual(together)
        expect(await Promise.all([...usual, ...large])).toEqual(times(cores + 8, () => true))
      },
    )

    test('is refused when the line of its kind is full, and counted among those who wait until then', async () => {
      const { check, finish } = onCores(4)
      const large = times(40, () => check(65_536))
      await turn()
      expect(await metrics.print()).toMatch(/^munjigi_password_hash_waiting\S* 32$/m)
      while ((await finish()) > 0);
      const outcomes = await Promise.all(large)
      expect(outcomes.filter((outcome) => outcome === true)).toHaveLength(34)
      expect(outcomes.filter((outcome) => outcome === 'OVERLOADED')).toHaveLength(6)
    })

    test('is not checked for a client that has left', async () => {
      const { check, finish } = onCores(8)
      const first = times(2, () => check(65_536))
      const leaving = new AbortController()
      const left = check(65_536, leaving.signal)
      await turn()
      leaving.abort()
      expect([await finish(), await finish()]).toEqual([2, 0])
      expect([...(await Promise.all(first)), await left]).toEqual([true, true, 'left'])
    })
  })
})
