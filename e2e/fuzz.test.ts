// What holds for any input at all: texts, tokens, bodies and whole operations made up by fast-check. The seed is fixed, so that
// every run is the same; `npm run drill fuzz` runs longer, with another seed each time.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { AuthError } from '../src/errors.ts'
import { readHash } from '../src/passwords/hash-format.ts'
import { createBunHasher } from '../src/passwords/hasher.ts'
import { parsePassword, readPassword } from '../src/passwords/password.ts'
import { CHEAP_HASH, createTestApp, KIM, ME, SIGNUP } from '../src/testing/app.ts'
import { readEmail } from '../src/users/email.ts'
import { fuzzOperations } from './fuzz/operations.ts'
import { emails, passwords, texts } from './fuzz/texts.ts'

// On a busy machine.
setDefaultTimeout(300_000)

const SEED = 20_260_101
const runs = (numRuns: number) => ({ numRuns, seed: SEED })

describe('an e-mail address', () => {
  test('is refused, or has one canonical form that is an address itself', () => {
    let accepted = 0
    const property = fc.property(emails, (text) => {
      const email = readEmail(text)
      if (typeof email === 'string') return
      accepted += 1
      expect(email.key).toMatch(/^[\x21-\x7e]{3,254}$/)
      expect(readEmail(email.key)).toEqual({ address: email.key, key: email.key })
      expect(readEmail(` ${email.address} `)).toEqual(email)
    })
    fc.assert(property, runs(20_000))
    expect(accepted).toBeGreaterThan(5_000)
  })
})

describe('a password', () => {
  const hasher = createBunHasher(CHEAP_HASH)
  const rules = { field: 'password', minLength: 8 }
  const chosen = (text: string) => {
    try {
      return parsePassword(text, rules)
    } catch (error) {
      expect(error).toBeInstanceOf(AuthError)
      return null
    }
  }

  test('is refused with a reason, or is what the login reads as well', () => {
    const property = fc.property(passwords, (text) => {
      const password = chosen(text)
      if (password === null) return
      expect(readPassword(text)).toBe(password)
      expect(readPassword(password)).toBe(password)
      expect([...password].length).toBeWithin(8, 1_025)
    })
    fc.assert(property, runs(20_000))
  })

  test('opens its own hash, and one character more or less does not', async () => {
    const property = fc.asyncProperty(passwords, async (text) => {
      const password = chosen(text)
      if (password === null) return
      const hash = await hasher.hash(password)
      for (const [tried, expected] of [
        [password, true],
        [`${password}a`, false],
        [password.slice(0, -1), false],
      ] as const) {
        const read = readPassword(tried)
        if (read !== null) expect(await hasher.verify(read, hash)).toBe(expected)
      }
    })
    await fc.assert(property, runs(300))
  })
})

test('a stored hash that was cut about is read, or refused, and never throws', () => {
  const hash = fc.constantFrom(
    '$argon2id$v=19$m=64,t=2,p=4$+YlGPFXPvBLbEh5eTEyOHA$Ll163R7XBD5q1aCBt8DaQQ',
    'bcrypt$$2b$04$jBWxQwlucOaXlSEWefjJwuT7HohF9PS1JSSqJIHX2O9ZdvAXCkusC',
    '$scrypt$ln=10,r=8,p=1$t7YWIsR4TylFiNF6D8HYmw$dGerBZmRlyoDSoFjEGfDGiIw0zIUp5CoAYdrX4ohUsw',
    'pbkdf2_sha256$1000$saltsaltsalt$gEH49FNBBqFmhxphsXNDI6GFVPw+eaTStjJO3D6hzis=',
  )
  const property = fc.property(
    hash,
    fc.nat(),
    fc.nat({ max: 9 }),
    texts,
    (whole, from, cut, text) => {
      const at = from % whole.length
      const read = readHash(whole.slice(0, at) + text + whole.slice(at + cut))
      expect(['object', 'string']).toContain(typeof read)
    },
  )
  fc.assert(property, runs(20_000))
})

describe('a token with a character changed, added or taken away', () => {
  const edits = fc.record({
    at: fc.nat({ max: 10_000 }),
    cut: fc.nat({ max: 2 }),
    put: fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.=+/~ '), maxLength: 2 }),
  })
  const edited = (token: string, { at, cut, put }: { at: number; cut: number; put: string }) => {
    const place = at % (token.length + 1)
    return (token.slice(0, place) + put + token.slice(place + cut)).trim()
  }

  test('gives no viewer', async () => {
    const app = await createTestApp()
    const { accessToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
    const property = fc.asyncProperty(edits, async (edit) => {
      const token = edited(accessToken, edit)
      const { code } = await app.run(ME, {}, token)
      expect(code).toBe(token === accessToken ? undefined : 'UNAUTHENTICATED')
    })
    await fc.assert(property, runs(2_000))
  })

  test('refreshes nothing, and does not end the session either', async () => {
    const app = await createTestApp()
    const { refreshToken } = (await app.run(SIGNUP, KIM)).data.signup.tokens
    const refresh = (token: string) =>
      app.run('mutation ($t: String!) { refresh(refreshToken: $t) { accessToken } }', { t: token })
    const property = fc.asyncProperty(edits, async (edit) => {
      const token = edited(refreshToken, edit)
      if (token !== refreshToken) expect((await refresh(token)).code).toBe('INVALID_REFRESH_TOKEN')
    })
    await fc.assert(property, runs(2_000))
    expect((await refresh(refreshToken)).code).toBeUndefined()
  })
})

test('a body that nobody meant is BAD_USER_INPUT, whatever it is', async () => {
  const app = await createTestApp()
  const bodies = fc.oneof(
    fc.json().map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 200 }),
    fc
      .record({ query: fc.jsonValue(), variables: fc.jsonValue() })
      .map((body) => Buffer.from(JSON.stringify(body))),
  )
  const property = fc.asyncProperty(bodies, async (body) => {
    const headers = { 'content-type': 'application/json' }
    const request = new Request('http://munjigi.test/graphql', { method: 'POST', headers, body })
    const response = await app.fetch(request, '192.0.2.1')
    const { errors } = (await response.json()) as {
      errors: Array<{ extensions: { code: string } }>
    }
    expect(errors.map(({ extensions }) => extensions.code)).toEqual([
      expect.stringMatching(/^(?:BAD_USER_INPUT|GRAPHQL_PARSE_FAILED)$/),
    ])
  })
  await fc.assert(property, runs(2_000))
})

test('10,000 operations: none is a fault of ours, none repeats a password, none creates a user from less than valid input', async () => {
  const { operations, users, codes, events, slowest } = await fuzzOperations({
    runs: 10_000,
    seed: SEED,
  })
  console.log(
    `${operations} operations, ${users} users, slowest ${slowest.ms.toFixed(1)} ms of CPU`,
  )
  // It went everywhere.
  expect(users).toBeGreaterThan(20)
  for (const code of [
    'ok',
    'GRAPHQL_PARSE_FAILED',
    'GRAPHQL_VALIDATION_FAILED',
    'QUERY_TOO_COMPLEX',
    'BAD_USER_INPUT',
    'INVALID_EMAIL',
    'WEAK_PASSWORD',
    'EMAIL_TAKEN',
    'INVALID_CREDENTIALS',
    'UNAUTHENTICATED',
    'INVALID_REFRESH_TOKEN',
  ])
    expect([code, (codes[code] ?? 0) >= 20]).toEqual([code, true])
  for (const type of [
    'login.succeeded',
    'login.already_logged_in',
    'session.refreshed',
    'session.ended',
  ])
    expect([type, (events[type] ?? 0) >= 10]).toEqual([type, true])
})
