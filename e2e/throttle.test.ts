// Throttles as they run: three processes on one database, restarts, and clients that choose their headers or go away.

import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KIM, LOGIN, SIGNUP } from '../src/testing/app.ts'
import type { Answer } from './ask.ts'
import { ask } from './ask.ts'
import type { Server } from './server.ts'
import { metric, startServer } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-throttle-'))
afterAll(() => rmSync(folder, { recursive: true }))

const WRONG = { ...KIM, password: 'wrong horse battery' }
const NOBODY = { ...WRONG, email: 'lee@example.com' }
/** So long that nothing is allowed again while a slow machine runs a test. */
const LONG = { MUNJIGI_THROTTLE_USER_DELAY: '1h', MUNJIGI_THROTTLE_USER_MAX_DELAY: '1h' }

const CHANGE =
  'mutation Change($old: String!) { changePassword(currentPassword: $old, newPassword: "another horse battery") { accessToken } }'

const newFile = (name: string) => join(folder, name, 'munjigi.db')
const login = ({ url }: Server, variables: Record<string, unknown>, headers = {}) =>
  ask(url, LOGIN, { variables, headers })

const hashes = (server: Server) => metric(server, 'munjigi_password_hash_seconds_count')

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0)
const codesOf = (answers: readonly Answer[]) => new Set(answers.map(({ code }) => code))

describe('three processes on one database', () => {
  test('compute no more hashes for a hundred wrong logins at once than the budget, and know it after a restart', async () => {
    const path = newFile('three')
    const start = () => startServer({ mode: 'serve', database: `file:${path}`, env: LONG })
    const servers = await Promise.all([start(), start(), start()])
    const answers = await Promise.all(
      Array.from({ length: 102 }, (_, i) => login(servers[i % 3] as Server, NOBODY)),
    )
    expect(sum(await Promise.all(servers.map(hashes)))).toBeLessThanOrEqual(10)
    expect(answers.filter(({ code }) => code === 'INVALID_CREDENTIALS')).toHaveLength(
      sum(await Promise.all(servers.map(hashes))),
    )
    const refusals = ['RATE_LIMITED', 'OVERLOADED', 'SERVICE_UNAVAILABLE']
    for (const code of codesOf(answers))
      expect(['INVALID_CREDENTIALS', ...refusals]).toContain(String(code))
    // What was shed before it was counted may be tried now, one after the other.
    for (let i = 0; i < 12; i += 1) await login(servers[i % 3] as Server, NOBODY)
    // Not always 10: on a slow machine some are charged whose turn comes too late to be hashed.
    expect(sum(await Promise.all(servers.map(hashes)))).toBeLessThanOrEqual(10)
    await Promise.all(servers.map((server) => server.stop()))

    await using again = await start()
    expect((await login(again, NOBODY)).code).toBe('RATE_LIMITED')
    expect(await hashes(again)).toBe(0)
    using rows = new Database(path, { readonly: true })
    expect(rows.query("SELECT count FROM throttles WHERE key LIKE 'user:%'").all()).toEqual([
      { count: 10 },
    ])
  })
})

test('a user who is logged in changes the password from a new address while strangers guess it from many', async () => {
  const path = newFile('reauthentication')
  const env = {
    ...LONG,
    MUNJIGI_TRUSTED_PEERS: '127.0.0.1',
    MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-forwarded-for',
  }
  const start = () => startServer({ mode: 'serve', database: `file:${path}`, env })
  const from = (address: string) => ({ 'x-forwarded-for': address })
  const change = ({ url }: Server, address: string, token: string, old: string) =>
    ask(url, CHANGE, { variables: { old }, token, headers: from(address) })
  const servers = await Promise.all([start(), start()])
  const replica = (i: number) => servers[i % 2] as Server

  const signedUp = await ask(replica(0).url, SIGNUP, {
    variables: KIM,
    headers: from('192.0.2.1'),
  })
  const token: string = signedUp.data.signup.tokens.accessToken
  for (let i = 0; i < 11; i += 1) await login(replica(i), WRONG, from(`198.51.100.${i}`))
  expect((await login(replica(0), KIM, from('203.0.113.9'))).code).toBe('RATE_LIMITED')

  // Who has stolen the token has as few guesses as anybody, on all replicas together.
  const before = sum(await Promise.all(servers.map(hashes)))
  const guesses = Array.from({ length: 24 }, (_, i) =>
    change(replica(i), `203.0.113.${i}`, token, WRONG.password),
  )
  const answers = await Promise.all(guesses)
  expect(codesOf(answers)).toContain('INVALID_CREDENTIALS')
  // What was shed before it was counted may be tried now, one after the other.
  for (let i = 0; i < 12; i += 1) await change(replica(i), '203.0.113.9', token, WRONG.password)
  expect(sum(await Promise.all(servers.map(hashes))) - before).toBeLessThanOrEqual(10)
  await Promise.all(servers.map((server) => server.stop()))

  await using again = await start()
  expect((await change(again, '203.0.113.10', token, KIM.password)).code).toBe('RATE_LIMITED')
  // Which has cost no login anything. It ends the wait.
  const loggedIn = await login(again, KIM, from('192.0.2.1'))
  const mine: string = loggedIn.data.login.tokens.accessToken
  for (let i = 0; i < 11; i += 1) await login(again, WRONG, from(`198.51.100.${i}`))
  expect((await login(again, KIM, from('203.0.113.11'))).code).toBe('RATE_LIMITED')
  expect((await change(again, '203.0.113.11', mine, KIM.password)).code).toBeUndefined()
}, 120_000)

test('a known and an unknown e-mail are refused at the same attempt, to the byte', async () => {
  const path = newFile('alike')
  await using server = await startServer({ mode: 'serve', database: `file:${path}`, env: LONG })
  await ask(server.url, SIGNUP, { variables: KIM })
  // From elsewhere than where the user signed up: what the user is known by is another budget.
  using rows = new Database(path)
  rows.run('PRAGMA busy_timeout = 5000')
  rows.run('DELETE FROM known_addresses')
  const seen = async (variables: Record<string, unknown>) => {
    const answers: unknown[] = []
    for (let i = 0; i < 12; i += 1) {
      const { status, text, headers } = await login(server, variables)
      const own = ['date', 'x-request-id']
      answers.push({
        status,
        text: text.replace(/req_[\w-]{36}/, 'req_').replace(/"retryAfter":\d{4}/, '"retryAfter":'),
        length: text.length,
        headers: [...headers]
          .filter(([name]) => !own.includes(name))
          .map(([name, value]) => [name, name === 'retry-after' ? value.length : value]),
      })
    }
    return answers
  }
  const known = await seen(WRONG)
  expect(JSON.stringify(known.slice(0, 10))).not.toContain('RATE_LIMITED')
  expect(JSON.stringify(known.slice(10)).match(/RATE_LIMITED/g)).toHaveLength(2)
  expect(await seen(NOBODY)).toEqual(known)
})

test('headers that name another address change nothing when they come from anybody', async () => {
  const env = { MUNJIGI_THROTTLE_ADDRESS_ATTEMPTS: '5', MUNJIGI_THROTTLE_ADDRESS_INTERVAL: '1h' }
  await using server = await startServer({
    mode: 'serve',
    env: {
      ...env,
      MUNJIGI_TRUSTED_PEERS: '203.0.113.1',
      MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-envoy-external-address',
    },
  })
  const names = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'x-envoy-external-address']
  const codes: unknown[] = []
  for (let i = 0; i < 1_000; i += 1) {
    const headers = Object.fromEntries(names.map((name) => [name, `198.51.100.${i % 250}`]))
    const variables = { ...NOBODY, email: `nobody-${i}@example.com` }
    codes.push((await login(server, variables, headers)).code)
  }
  expect(codes.slice(0, 5)).toEqual(Array(5).fill('INVALID_CREDENTIALS'))
  expect(new Set(codes.slice(5))).toEqual(new Set(['RATE_LIMITED']))
  expect(await hashes(server)).toBe(5)
})

test('clients that disconnect while they wait leave the queue, and nothing is hashed for them', async () => {
  const env = { MUNJIGI_PASSWORD_HASH_CONCURRENCY: '1', MUNJIGI_THROTTLE_ADDRESS_ATTEMPTS: '0' }
  await using server = await startServer({ mode: 'serve', env })
  const waiting = () => metric(server, 'munjigi_password_hash_waiting')
  const clients = Array.from({ length: 12 }, () => new AbortController())
  const answers = clients.map(({ signal }, i) =>
    ask(server.url, LOGIN, {
      variables: { ...NOBODY, email: `n${i}@example.com` },
      signal,
    }).catch(() => null),
  )
  await until('most are in line', async () => (await waiting()) >= 6)
  const [before, inLine] = await Promise.all([hashes(server), waiting()])
  for (const client of clients) client.abort()
  await Promise.all(answers)
  await until('the line is empty', async () => (await waiting()) === 0)
  const after = await hashes(server)
  expect(after - before).toBeLessThan(inLine)
  expect((await login(server, NOBODY)).code).toBe('INVALID_CREDENTIALS')
  expect(await hashes(server)).toBeLessThanOrEqual(after + 2)
})
