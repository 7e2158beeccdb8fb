// Thousands of made-up operations against one app, with the tokens and users that come of them, and what must hold after each:
// never a fault of ours, no value repeated, nobody created but from valid input.

import fc from 'fast-check'
import { buildSchema } from 'graphql'
import { ERRORS } from '../../src/errors.ts'
import { parsePassword } from '../../src/passwords/password.ts'
import type { TestApp } from '../../src/testing/app.ts'
import { createTestApp } from '../../src/testing/app.ts'
import { readEmail } from '../../src/users/email.ts'
import type { FuzzRequest } from './documents.ts'
import { composeRequest } from './documents.ts'
import { emails, passwords, texts } from './texts.ts'

/** What a run found out. */
export interface Findings {
  readonly operations: number
  readonly users: number
  /** How many answers had this code first; `ok`: no error. */
  readonly codes: Readonly<Record<string, number>>
  readonly slowest: { readonly ms: number; readonly body: string }
}

/** In every good password, so that a repeated one is recognised. */
const MARK = 'zqmark'
const GOOD_EMAILS = ['kim@example.com', 'KIM@example.com', ' lee@한국.kr', 'park+shop@example.org']
const GOOD_PASSWORDS = [`${MARK} correct horse`, `${MARK} 문지기 battery`]

/** Sends `runs` operations, one after the other. Throws when one does what none may; the seed makes it happen again. */
export async function fuzzOperations({
  runs,
  seed,
}: {
  runs: number
  seed: number
}): Promise<Findings> {
  const schema = buildSchema(await Bun.file('src/schema.graphql').text())
  const app = await createTestApp()
  const codes: Record<string, number> = {}
  const accessTokens = ['', 'garbage']
  const refreshTokens = ['garbage']
  let slowest = { ms: 0, body: '' }
  let users = 0

  const property = fc.asyncProperty(fc.gen(), async (g) => {
    const request = composeRequest(g, schema, valuesFor)
    const token = g(tokenIn, accessTokens.length)
    const started = performance.now()
    const response = await send(app, request, {
      token: accessTokens[token] ?? '',
      peer: g(fc.ipV4),
    })
    const text = await response.text()
    const ms = performance.now() - started
    if (ms > slowest.ms) slowest = { ms, body: JSON.stringify(request.body) }
    count(judge(request, response.status, text))
    for (const found of text.matchAll(/"accessToken":"([^"]+)"/g)) keep(accessTokens, found[1])
    for (const found of text.matchAll(/"refreshToken":"([^"]+)"/g)) keep(refreshTokens, found[1])
    await judgeNewUsers(request)
    app.clock.advance('1s')
  })
  // What came before has changed the app, so a failure is not made smaller.
  await fc.assert(property, { numRuns: runs, seed, endOnFailure: true })
  expectQuietLog(app)
  return { operations: runs, users, codes, slowest }

  function valuesFor(argument: string): fc.Arbitrary<string> {
    const from = (good: readonly string[], odd: fc.Arbitrary<string>) =>
      fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, { weight: 2, arbitrary: odd })
    if (/email/i.test(argument)) return from(GOOD_EMAILS, emails)
    if (/password/i.test(argument)) return from(GOOD_PASSWORDS, passwords)
    if (/token/i.test(argument)) return from(refreshTokens.slice(-5), texts)
    return from(['ses_1', 'ses_2'], texts)
  }

  function count(code: string): void {
    codes[code] = (codes[code] ?? 0) + 1
  }

  /** Every user who came to be since: made of what was sent, and checked. */
  async function judgeNewUsers({ values, tampered }: FuzzRequest): Promise<void> {
    const created = signedUp(app) - users
    users += created
    const rows = await app.database.read((db) =>
      db.all<{ email: string; email_key: string; password_hash: string }>(
        `SELECT * FROM users ORDER BY created_at DESC, id DESC LIMIT ${created}`,
      ),
    )
    for (const row of rows) {
      const email = readEmail(row.email)
      if (typeof email === 'string' || email.key !== row.email_key) throw new Error('bad e-mail')
      if (tampered) continue
      if (!values.some((value) => value.includes(row.email))) throw new Error('whose e-mail?')
      if (!(await anyMatches(values, row.password_hash))) throw new Error('whose password?')
    }
  }
}

function signedUp({ events }: TestApp): number {
  return events.filter(({ type }) => type === 'user.signed_up').length
}

/** The most recent ones are the ones that may still be in force. */
function tokenIn(count: number): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.nat({ max: 1 }) },
    { weight: 4, arbitrary: fc.integer({ min: Math.max(0, count - 3), max: count - 1 }) },
  )
}

function send(
  app: TestApp,
  { body }: FuzzRequest,
  { token, peer }: { token: string; peer: string },
): Promise<Response> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/graphql-response+json',
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  }
  const init = { method: 'POST', headers, body: JSON.stringify(body) }
  return app.fetch(new Request('http://munjigi.test/graphql', init), peer)
}

/** Gives the code of the answer. */
function judge({ tampered }: FuzzRequest, status: number, text: string): string {
  const { data, errors = [] } = JSON.parse(text) as {
    data?: unknown
    errors?: ReadonlyArray<{ extensions: { code: string } }>
  }
  const codes = errors.map(({ extensions }) => extensions.code)
  if (status >= 500 || codes.includes('INTERNAL_SERVER_ERROR'))
    throw new Error(`${status}: ${text}`)
  if (!codes.every((code) => Object.hasOwn(ERRORS, code))) throw new Error(`no such code: ${text}`)
  if (data === undefined && codes.length === 0) throw new Error(`neither data nor error: ${text}`)
  // Cut about, a password may have become a name, and names may be repeated.
  if (!tampered && text.includes(MARK)) throw new Error(`repeats a password: ${text}`)
  return codes[0] ?? 'ok'
}

async function anyMatches(values: readonly string[], hash: string): Promise<boolean> {
  const valid = values.filter((value) => {
    try {
      return parsePassword(value, { field: 'password', minLength: 8 })
    } catch {
      return false
    }
  })
  for (const value of valid)
    if (await Bun.password.verify(value.normalize('NFC'), hash)) return true
  return false
}

function keep(tokens: string[], token: string | undefined): void {
  if (token !== undefined) tokens.push(token)
}

function expectQuietLog({ logLines }: TestApp): void {
  const loud = logLines.find(
    (line) => /request\.failed|database\.fault/.test(line) || line.includes(MARK),
  )
  if (loud !== undefined) throw new Error(`a line of the log: ${loud}`)
}
