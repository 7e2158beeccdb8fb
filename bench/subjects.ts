// What is measured in each round: the real server's operations, and the ceilings that they are held against.

import type { Load } from './drive.ts'
import { createEdges } from './edge.ts'
import type { Burst } from './load.ts'
import { ceilingBurst, heavyBurst, warmBurst, warmed } from './load.ts'
import type { Cores } from './machine.ts'
import type { Peer } from './peers.ts'
import type { Account } from './real.ts'
import {
  createLoads,
  createRefresh,
  loadWithNewTokens,
  makeAccounts,
  meRequests,
  startReal,
} from './real.ts'
import { send } from './requests.ts'
import type { Server, Stage } from './stage.ts'
import { settings } from './stage.ts'

/** One thing to measure, again and again. */
export interface Subject {
  readonly name: string
  readonly weight: Weight
  burst(seconds: number): Promise<Burst>
}

/** Light ones are warmed up together, heavy ones one by one: many hashes at once would be refused. The others need none. */
type Weight = 'light' | 'heavy' | 'none'

/** What a run measures, and the loads of the real server that other measurements go on with. */
export interface Prepared {
  readonly subjects: readonly Subject[]
  readonly loads: ReturnType<typeof createLoads>
  /** Why something is not measured here. */
  readonly skipped: readonly string[]
}

/** More than a burst can make. */
const NUMBERS_PER_BURST = 1_000_000

/** Starts the servers, makes the accounts, and returns what can be measured, in the order of a round. */
export async function prepare(
  stage: Stage,
  cores: Cores,
  { peers, edge, logins }: { peers: readonly Peer[]; edge: boolean; logins: number },
): Promise<Prepared> {
  const server = await startReal(stage, cores)
  const accounts = await makeAccounts(server.url)
  const visitors = await makeAccounts(server.url, 'lee')
  const loads = createLoads(stage, { server, accounts, visitors, cores, logins })
  const echoes = await startEchoes(stage, cores, { server, accounts })
  const bare = await startBare(stage, cores)
  const newTokens = await loadWithNewTokens(stage, accounts, loads.me)
  const native = await createNative(stage, cores, logins)
  const edges = edge ? await createEdges(stage) : { subjects: [], skipped: ['edge: left out'] }
  const subjects = [
    subject('bareEcho', { ...loads.me, server: echoes.bare, counted: undefined }),
    subject('dressedEcho', { ...loads.me, server: echoes.dressed, counted: undefined }),
    subject('me', loads.me),
    subject('meNew', newTokens),
    subject('bareMe', { ...loads.me, server: bare, counted: undefined }),
    subject('bareMeNew', { ...newTokens, server: bare, counted: undefined }),
    subject('jwks', loads.jwks),
    subject('livez', loads.livez),
    ceiling('insert', cores, (seconds) => ['insert.ts', stage.path('insert.db'), String(seconds)]),
    {
      name: 'refresh',
      weight: 'none',
      burst: warmed(createRefresh(stage, accounts, loads.me)),
    } as const,
    ceiling('hash', cores, (seconds) => ['hash.ts', String(seconds), 'bun']),
    subject('login', loads.login, 'heavy'),
    subject('signup', loads.signup, 'heavy'),
    ...native.subjects,
    ...edges.subjects.map(({ name, load }) => subject(name, load)),
    ...peers.flatMap(({ name, loads: { login, read, refresh: renew } }) => [
      subject(`${name} login`, login, 'heavy'),
      subject(`${name} read`, read),
      ...(renew ? [subject(`${name} refresh`, renew)] : []),
    ]),
  ]
  return { subjects, loads, skipped: [...native.skipped, ...edges.skipped] }
}

/** The other hash engine, on a server of its own, where its package is there. */
async function createNative(stage: Stage, cores: Cores, logins: number) {
  if (!hasPackage('@node-rs/argon2'))
    return { subjects: [], skipped: ['native hash engine: @node-rs/argon2 is not installed'] }
  const env = {
    MUNJIGI_PASSWORD_ENGINE: 'native',
    MUNJIGI_DATABASE_URL: `file:${stage.path('native.db')}`,
  }
  const server = await startReal(stage, cores, { env })
  const accounts = await makeAccounts(server.url)
  const prefix = 'native-'
  const { login } = createLoads(stage, { server, accounts, cores, logins, prefix })
  const subjects = [
    ceiling('nativeHash', cores, (seconds) => ['hash.ts', String(seconds), 'native']),
    subject('nativeLogin', login, 'heavy'),
  ]
  return { subjects, skipped: [] }
}

function hasPackage(name: string): boolean {
  try {
    return import.meta.resolve(name) !== ''
  } catch {
    return false
  }
}

async function startEchoes(
  stage: Stage,
  cores: Cores,
  { server, accounts }: { server: Server; accounts: readonly Account[] },
) {
  const echo = (...args: string[]) =>
    stage.start({ args: ['bench/echo.ts', ...args], cores: cores.server })
  const headers = await commonHeaders(server, accounts)
  return { bare: await echo('bare'), dressed: await echo('dressed', JSON.stringify(headers)) }
}

/** The same service on the same database, so that it knows the accounts' tokens. */
async function startBare(stage: Stage, cores: Cores): Promise<Server> {
  const env = settings(stage.path('load.db'))
  return await stage.start({ args: ['bench/bare.ts'], env, cores: cores.server })
}

/** What every answer of the server carries whatever it says: the dressed echo sends the same. */
async function commonHeaders(
  { url }: Server,
  accounts: readonly Account[],
): Promise<Record<string, string>> {
  const [request] = meRequests(accounts)
  const response = await send(url, request ?? { method: 'GET', path: '/livez' })
  const answer = await response.text()
  if (!answer.includes(accounts[0]?.email ?? '')) throw new Error(`me does not answer: ${answer}`)
  const own = ['content-type', 'content-length', 'date', 'connection', 'x-request-id']
  return Object.fromEntries([...response.headers].filter(([name]) => !own.includes(name)))
}

function subject(name: string, load: Load, weight: Weight = 'light'): Subject {
  let bursts = 0
  return {
    name,
    weight,
    burst(seconds) {
      bursts += 1
      const first = bursts * NUMBERS_PER_BURST
      return weight === 'heavy' ? heavyBurst(load, seconds, first) : warmBurst(load, seconds, first)
    },
  }
}

/** A program that warms itself up. */
function ceiling(name: string, cores: Cores, args: (seconds: number) => string[]): Subject {
  return { name, weight: 'none', burst: (seconds) => ceilingBurst(args(seconds), cores.server) }
}
