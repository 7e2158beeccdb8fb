// Thousands of made-up operations, one after the other, against one app, with the tokens and users that come of them.

import fc from 'fast-check'
import { buildSchema } from 'graphql'
import type { TestApp } from '../../src/testing/app.ts'
import { createTestApp } from '../../src/testing/app.ts'
import type { FuzzRequest } from './documents.ts'
import { composeRequest } from './documents.ts'
import type { UserRow } from './judge.ts'
import { judgeAnswer, judgeEvents, judgeLog, judgeUser, MARK } from './judge.ts'
import { emails, passwords, texts } from './texts.ts'

/** How much, and which: the same seed makes the same operations. */
export interface FuzzOptions {
  readonly runs: number
  readonly seed: number
}

/** What a run found out. */
export interface Findings {
  readonly operations: number
  readonly users: number
  /** How many answers had this code first; `ok`: no error. */
  readonly codes: Readonly<Record<string, number>>
  /** How often each security event was reported. */
  readonly events: Readonly<Record<string, number>>
  /** By the time of the processor: the clock on the wall also counts what else the machine does. */
  readonly slowest: { readonly ms: number; readonly body: string }
}

/** An answer, and what it took. */
interface Sent {
  readonly status: number
  readonly text: string
  readonly ms: number
}

const GOOD_EMAILS = ['kim@example.com', 'KIM@example.com', ' lee@한국.kr', 'park+shop@example.org']
const GOOD_PASSWORDS = [`${MARK} correct horse`, `${MARK} 문지기 battery`]

/** Sends `runs` operations. Throws when one does what none may, with the seed and the operation. */
export async function fuzzOperations({ runs, seed }: FuzzOptions): Promise<Findings> {
  const schema = buildSchema(await Bun.file('src/schema.graphql').text())
  const app = await createTestApp()
  const codes: Record<string, number> = {}
  const types: Record<string, number> = {}
  const accessTokens = ['', 'garbage']
  const refreshTokens = ['garbage']
  const known = fc.nat({ max: 2 }).map((back) => refreshTokens.at(-1 - back) ?? 'garbage')
  let slowest = { ms: 0, body: '' }
  let [users, heard] = [0, 0]

  const property = fc.asyncProperty(fc.gen(), async (g) => {
    const request = composeRequest(g, schema, valuesFor)
    const token = accessTokens[g(recent, accessTokens.length)] ?? ''
    const sent = await send(app, request, { token, peer: g(fc.ipV4) })
    await naming(request, () => judge(request, sent))
    if (sent.ms > slowest.ms) slowest = { ms: sent.ms, body: JSON.stringify(request.body) }
    accessTokens.push(...valuesOf('accessToken', sent.text))
    refreshTokens.push(...valuesOf('refreshToken', sent.text))
    app.clock.advance('1s')
  })
  // Earlier operations have changed the app, so fast-check must not try to shrink a failure.
  await fc.assert(property, { numRuns: runs, seed, endOnFailure: true })
  judgeLog(app.logLines)
  return { operations: runs, users, codes, events: types, slowest }

  /** Asked only once for each argument: what it gives must not be settled then. */
  function valuesFor(argument: string): fc.Arbitrary<string> {
    const from = (good: readonly string[], odd: fc.Arbitrary<string>) =>
      fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, { weight: 2, arbitrary: odd })
    if (/email/i.test(argument)) return from(GOOD_EMAILS, emails)
    if (/password/i.test(argument)) return from(GOOD_PASSWORDS, passwords)
    if (/token/i.test(argument))
      return fc.oneof({ weight: 3, arbitrary: known }, { weight: 2, arbitrary: texts })
    return from(['ses_1', 'ses_2'], texts)
  }

  async function judge(request: FuzzRequest, { status, text }: Sent): Promise<void> {
    const code = judgeAnswer(request, status, text)
    codes[code] = (codes[code] ?? 0) + 1
    const events = app.events.slice(heard)
    heard = app.events.length
    for (const { type } of events) types[type] = (types[type] ?? 0) + 1
    const created = judgeEvents(events)
    users += created
    for (const row of await newestUsers(app, created)) await judgeUser(row, request)
  }
}

/** An index: mostly of the last ones, which may still be in force. */
function recent(count: number): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.nat({ max: 1 }) },
    { weight: 4, arbitrary: fc.integer({ min: Math.max(0, count - 3), max: count - 1 }) },
  )
}

async function send(
  app: TestApp,
  { body }: FuzzRequest,
  { token, peer }: { token: string; peer: string },
): Promise<Sent> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/graphql-response+json',
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  }
  const init = { method: 'POST', headers, body: JSON.stringify(body) }
  const before = process.cpuUsage()
  const response = await app.fetch(new Request('http://munjigi.test/graphql', init), peer)
  const text = await response.text()
  const { user, system } = process.cpuUsage(before)
  return { status: response.status, text, ms: (user + system) / 1_000 }
}

/** Adds the request to the error about it. */
async function naming({ body }: FuzzRequest, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(`${error}\n  of ${JSON.stringify(body)}`, { cause: error })
  }
}

function valuesOf(property: string, json: string): string[] {
  return [...json.matchAll(new RegExp(`"${property}":"([^"]+)"`, 'g'))].map(
    ([, value = '']) => value,
  )
}

function newestUsers({ database }: TestApp, count: number): Promise<UserRow[]> {
  const newest = `SELECT * FROM users ORDER BY created_at DESC, id DESC LIMIT ${count}`
  return database.read((db) => db.all<UserRow>(newest))
}
