// bun bench/leak.ts [requests]: does memory grow? Three million requests of all kinds, good and bad, with refreshes between
// them; then the slope of resident memory over the requests after the first fifth, with its standard error. Exits with 0 when
// it is less than 1 MiB for 100,000 requests, beyond doubt: one million leaves an error of about that. Linux only.

import { residentMemory } from '../e2e/memory.ts'
import type { Load } from './drive.ts'
import { runWrk, WrongAnswers } from './drive.ts'
import { chooseCores } from './machine.ts'
import type { Account } from './real.ts'
import {
  createLoads,
  createRefresh,
  loginRequests,
  makeAccounts,
  makeNewTokens,
  meRequests,
  startReal,
} from './real.ts'
import type { RequestLine } from './requests.ts'
import { operation, writeRequests } from './requests.ts'
import type { Stage } from './stage.ts'
import { createStage } from './stage.ts'
import { slope } from './statistics.ts'

const TOTAL = Number(process.argv[2] ?? 3_000_000)
const PER = 100_000
const LIMIT_MIB = 1
const CHUNK_SECONDS = 5
/** Of all requests: caches and the code's own compilation fill up first. */
const WARM_UP = 0.2

await using stage = createStage()
const cores = chooseCores()
// Else the oldest sessions end on the way, with them the tokens of this mix, and it becomes another one.
const server = await startReal(stage, cores, { env: { MUNJIGI_MAX_SESSIONS: '10000' } })
const accounts = await makeAccounts(server.url)
const { me } = createLoads(stage, { server, accounts, cores, logins: 8 })
const refresh = createRefresh(stage, accounts, me)
const points = await load({ ...me, file: await writeMix(stage, accounts) })
const settled = points.filter(({ requests }) => requests >= WARM_UP * TOTAL)
if (settled.length < 3) throw new Error('too few requests to tell')
const { slope: growth, error } = slope(
  settled.map(({ requests, memory }) => [requests / PER, memory]),
)
const verdict = judge(growth - 2 * error, growth + 2 * error)
console.log(
  `${growth.toFixed(2)} ± ${error.toFixed(2)} MiB per ${PER.toLocaleString('en')} requests after the first ${WARM_UP * 100} %; wanted: < ${LIMIT_MIB}: ${verdict}`,
)
process.exitCode = verdict === 'met' ? 0 : 1

/** By two errors to either side: memory goes up and down by tens of megabytes. */
function judge(least: number, most: number): string {
  if (most < LIMIT_MIB) return 'met'
  return least < LIMIT_MIB ? 'not decided; ask for more requests' : 'MISSED'
}

interface Point {
  readonly requests: number
  readonly memory: number
}

async function load(mix: Load): Promise<Point[]> {
  const all: Point[] = []
  for (let requests = 0; requests < TOTAL; ) {
    const { answers } = await runWrk({ ...mix, anyStatus: true }, CHUNK_SECONDS, requests)
    requests += answers + (await refreshes())
    const memory = residentMemory(server.pids)
    if (memory === undefined) throw new Error('memory is read from /proc, which only Linux has')
    console.log(`${requests.toLocaleString('en').padStart(10)}  ${memory.toFixed(1)} MiB`)
    all.push({ requests, memory })
    server.emptyLog()
  }
  return all
}

/** Some may be refused on a busy machine: memory is the question here. */
async function refreshes(): Promise<number> {
  try {
    return Math.round((await refresh(1)).perSecond ?? 0)
  } catch (error) {
    if (error instanceof WrongAnswers) return 0
    throw error
  }
}

/** Some 100,000, which wrk repeats. Of ten, eight are known, one brings a new token, one is bad; one in a thousand logs in. */
async function writeMix(at: Stage, users: readonly Account[]): Promise<string> {
  const known = meRequests(users)
  const fresh = meRequests(await makeNewTokens(at, users, 10_500))
  const bad: RequestLine[] = [
    operation('{ me { id email } }'),
    operation('{ me { id email } }', { token: 'not.a.token' }),
    operation('{ me { id email }'),
    operation('{ nothing }'),
    operation(`{ ${'a: me { id } '.repeat(40)} }`, { token: users[0]?.accessToken ?? '' }),
    operation('mutation { refresh(refreshToken: "mjr_x") { accessToken } }'),
    operation('mutation { signup(email: "not an address {n}", password: "x") { user { id } } }'),
    operation('query Q { me { id ...F{n} } }'),
    { method: 'POST', path: '/graphql', body: '{' },
    { method: 'GET', path: '/.well-known/jwks.json' },
    { method: 'GET', path: '/readyz' },
    { method: 'GET', path: '/nowhere' },
  ]
  const mix = fresh.flatMap((newOne, i) => [
    ...Array.from({ length: 8 }, (_, k) => known[(i + k) % known.length]),
    newOne,
    bad[i % bad.length],
    i % 100 === 0 ? loginRequests(users)[(i / 100) % users.length] : undefined,
  ])
  return writeRequests(
    at.path('mix.tsv'),
    mix.filter((one) => one !== undefined),
  )
}
