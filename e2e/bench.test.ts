// What the benchmark makes of its figures, and the tokens it makes: a wrong median would look as sound as a right one.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EARLY_EXIT, spoil } from '../bench/careless.ts'
import { NOTHING as NO_BURST } from '../bench/load.ts'
import { makeTokens } from '../bench/new-tokens.ts'
import { plot } from '../bench/plot.ts'
import { toMarkdown } from '../bench/report.ts'
import { parseRequests, writeRequests } from '../bench/requests.ts'
import { settings } from '../bench/stage.ts'
import { mostByChance, p99, ratios, slope, spread, tellApart } from '../bench/statistics.ts'
import { readSettings } from '../src/config.ts'
import { ask } from './ask.ts'
import { seen } from './output.ts'
import { quantile } from './quantile.ts'
import { startServer, TEST_SECRET } from './server.ts'

setDefaultTimeout(60_000)

const NOTHING = {
  bursts: {},
  starts: {},
  floods: [],
  reads: [],
  logins: [],
  peers: [],
  repeated: [],
}

test('the line that is changed to make a careless server is there', () => {
  const text = readFileSync(join(import.meta.dir, '..', EARLY_EXIT.file), 'utf8')
  expect(spoil(text)).not.toBe(text)
})

test('medians, percentiles and slopes are those of the figures', () => {
  expect(spread([3, undefined, 1, 2, 10])).toEqual({ median: 2.5, low: 1, high: 10 })
  expect(spread([undefined])).toBeUndefined()
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1)
  expect([0.5, 0.985, 0.99, 1].map((share) => quantile(hundred, share))).toEqual([50, 99, 99, 100])
  expect(quantile([], 0.5)).toBeUndefined()
  expect([p99(hundred), p99(hundred.slice(1))]).toEqual([99, undefined])
  expect(
    slope([
      [0, 7],
      [1, 9],
      [2, 11],
    ]),
  ).toEqual({ slope: 2, error: 0 })
  const zigzag = slope([
    [0, 0],
    [1, 1],
    [2, 0],
    [3, 1],
  ])
  expect(zigzag.slope).toBeCloseTo(0.2)
  expect(zigzag.error).toBeCloseTo(Math.sqrt(0.08))
})

test.each([
  ['all longer', [4, 5, 6], [1, 2, 3], 1],
  ['all shorter', [1, 2, 3], [4, 5, 6], 0],
  ['the same', [1, 2, 3], [3, 1, 2], 0.5],
  ['all one and the same', [7, 7], [7, 7, 7], 0.5],
  ['longer in two pairs of four, and equal in two', [2, 2], [1, 2], 0.75],
  ['longer in one pair of four', [1, 4], [3, 5], 0.25],
])('times that are %s are told apart in that share of pairs', (_, known, unknown, auc) => {
  expect(tellApart(known, unknown).auc).toBe(auc)
})

test('beside the share stands the tenth percentile of each', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  const { known, unknown } = tellApart(hundred, [9])
  expect([known, unknown]).toEqual([11, 9])
})

test('the fewer times there are, the further apart chance may put them, until nothing can be told', () => {
  expect(mostByChance(1_000)).toBeCloseTo(0.0387, 4)
  expect(mostByChance(200)).toBeCloseTo(0.0867, 4)
  expect(mostByChance(5)).toBeGreaterThan(0.5)
})

test('ratios are taken within each round', () => {
  expect(ratios([10, 400, undefined], [5, 100, 3])).toEqual({ median: 3, low: 2, high: 4 })
})

test('requests are read as they were written', () => {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-bench-test-'))
  const requests = [
    { method: 'POST', path: '/graphql', header: 'Authorization: Bearer a', body: '{"n":"{n}"}' },
    { method: 'GET', path: '/livez', header: '', body: '' },
  ] as const
  const file = writeRequests(join(folder, 'requests.tsv'), requests)
  expect(parseRequests(readFileSync(file, 'utf8'))).toEqual([...requests])
  rmSync(folder, { recursive: true })
})

test('what was not measured is said, with the reason, and gets no figure', () => {
  const report = toMarkdown([], { ...NOTHING, skipped: ['PocketBase: no Go'] }, undefined)
  expect(report).toContain('Not measured: PocketBase: no Go.')
  expect(report).toContain('| – | not measured |')
  expect(report).not.toMatch(/NaN|undefined|MISSED|\bmet\b/)
})

test('rows that other programs disturbed in the middle of their repeats are marked, and only then a note says so', () => {
  const reportOf = (noises: readonly number[]) => {
    const bursts = { me: noises.map((noise) => ({ ...NO_BURST, perSecond: 1, noise })) }
    return toMarkdown([], { ...NOTHING, bursts, skipped: [] }, undefined)
  }
  const once = reportOf([0.02, 0.47, 0.03])
  expect(once).toContain('| 3 % (2 %–47 %) |')
  expect(once).not.toContain('!')
  const often = reportOf([0.02, 0.47, 0.1])
  expect(often).toContain('| 10 % (2 %–47 %) ! |')
  expect(often).toContain('Rows marked !: other programs were at work.')
})

test('a plot has a dot for each sample, and a panel without samples is empty', () => {
  const points = [
    { offered: 10, times: [1, 2, 40], refused: 0, failed: 0 },
    { offered: 100, times: [2, 3], refused: 0, failed: 0 },
    { offered: 200, times: [], refused: 9, failed: 0 },
  ]
  const svg = plot([
    { title: 'reads', curves: [{ name: 'ours', points }] },
    { title: 'none', curves: [{ name: 'ours', points: [] }] },
  ])
  expect(svg.match(/h0/g)).toHaveLength(5)
  expect(svg).not.toMatch(/NaN|Infinity|undefined/)
})

// bench/README.md says so: a figure without the throttles' statements would be of another server.
test('no throttle is off while figures are taken', () => {
  const environment = settings('bench.db')
  const config = readSettings('serve', { environment, readFile: () => '', onTerminal: false })
  const attempts = [
    config.throttleUserAttempts,
    config.throttleAddressAttempts,
    config.throttleSignupAttempts,
  ]
  expect(attempts).toEqual([10, 1_000_000, 1_000_000])
})

// What is around an answer costs as much as what is in it: a ceiling with less of it would be out of reach.
test('the line of the dressed echo has the fields of a real one', async () => {
  await using server = await startServer({ mode: 'serve' })
  await ask(server.url, '{ __typename }')
  const line = await server.logged('http.request', ({ route }) => route === '/graphql')
  const echo = Bun.spawn([process.execPath, 'bench/echo.ts', 'dressed'], {
    cwd: join(import.meta.dir, '..'),
    stdin: 'ignore',
    stdout: 'pipe',
  })
  const { url } = JSON.parse(await seen(echo.stdout, '\n'))
  await ask(url, '{ __typename }')
  const like = JSON.parse(await seen(echo.stdout, '\n'))
  echo.kill()
  await echo.exited
  expect(Object.keys(like)).toEqual(Object.keys(line))
})

test('a token that the benchmark makes is one that the server accepts, and each is another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-bench-test-'))
  const database = join(folder, 'munjigi.db')
  {
    await using server = await startServer({ mode: 'serve', database: `file:${database}` })
    const { data } = await ask(
      server.url,
      'mutation { signup(email: "kim@example.com", password: "seven willows by the east gate") { tokens { accessToken } } }',
    )
    const { accessToken } = data.signup.tokens
    const made = await makeTokens(3, accessToken, { database, secret: TEST_SECRET })
    expect(new Set([...made, accessToken]).size).toBe(4)
    for (const token of made) {
      const answer = await ask(server.url, '{ me { email } }', { token })
      expect(answer.data.me).toEqual({ email: 'kim@example.com' })
    }
  }
  rmSync(folder, { recursive: true })
})
