// bun bench/profile.ts [me|jwks|livez|login|signup]: where the real server spends its time, by the sampling profiler of Bun.
// The profiler slows the server down and does not see other threads: its shares are hints, to be confirmed by run.ts.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { burst } from './load.ts'
import { chooseCores } from './machine.ts'
import { createLoads, makeAccounts, startReal } from './real.ts'
import { createStage } from './stage.ts'

/** The parts of .cpuprofile (Chrome DevTools Protocol, `Profiler.Profile`) that are read here. Times in µs. */
interface Profile {
  readonly nodes: readonly Node[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  readonly startTime: number
  readonly endTime: number
}

interface Node {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

const SECONDS = 8
const LONGEST_LIST = 25

/** Which part of a request each owner belongs to; the first that fits. */
const PARTS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^src\/tokens|viewer\.ts$|^hono\/jwt$/, 'tokens: hono/jwt and our checks'],
  [/^hono$/, 'Hono'],
  [/^graphql-yoga|^@whatwg-node|^@envelop|^@graphql-|^lru-cache|yoga\.ts$/, 'Yoga'],
  [/^graphql$|^@pothos|^src\/graphql\/(documents|limits)/, 'graphql-js and our limits'],
  [/request\.ts$|\(native\) (on)?(RS|Native|Readable|pull)/, 'reading the body'],
  [/^@logtape|log\.ts$/, 'the log'],
  [/^prom-client|^@hono\/prometheus|metrics\.ts$/, 'metrics'],
  [/^@libsql|^libsql|^drizzle-orm|^src\/storage|store\.ts$/, 'the database'],
  [/^src\/passwords/, 'passwords (the hash itself is on another thread)'],
  [/^src\//, 'our other code'],
]

const OPERATIONS = ['me', 'jwks', 'livez', 'login', 'signup'] as const
const wanted = process.argv[2] ?? 'me'
const operation = OPERATIONS.find((name) => name === wanted)
if (!operation) throw new Error(`one of: ${OPERATIONS.join(', ')}`)
const profile = await record(operation)
const samples = ownersOf(profile)
print('By part', count(samples.map(({ owner }) => partOf(owner))))
print('By file or package', count(samples.map(({ owner }) => owner)))
print('By function, and who called it', count(samples.map((s) => `${s.leaf}  in  ${s.owner}`)))

async function record(name: (typeof OPERATIONS)[number]): Promise<Profile> {
  await using stage = createStage()
  const folder = stage.path('profile')
  const cores = chooseCores()
  const server = await startReal(stage, cores, {
    flags: ['--cpu-prof', `--cpu-prof-dir=${folder}`],
  })
  const accounts = await makeAccounts(server.url)
  const load = createLoads(stage, { server, accounts, cores, logins: 8 })[name]
  console.log(`${name}, ${SECONDS} s after a warm-up of 3 s …`)
  await burst(load, 3, 0)
  const { perSecond } = await burst(load, SECONDS, 1_000_000)
  console.log(`${Math.round(perSecond ?? 0)} per second under the profiler`)
  // The profile is written when the process ends.
  await server.stop()
  const [file = ''] = readdirSync(folder).filter((entry) => entry.endsWith('.cpuprofile'))
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile
}

/** The function of each sample of the burst, and whose it is: native code is its caller's. */
function ownersOf({ nodes, samples, timeDeltas, startTime, endTime }: Profile) {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((c) => [c, id])))
  let time = startTime
  return samples.flatMap((id, i) => {
    time += timeDeltas[i] ?? 0
    if (time < endTime - SECONDS * 1_000_000) return []
    const leaf = byId.get(id)?.callFrame.functionName || '(anonymous)'
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const owner = nameOf(byId.get(at)?.callFrame.url ?? '')
      if (owner) return [{ leaf, owner }]
    }
    return [{ leaf, owner: `(native) ${leaf}` }]
  })
}

function nameOf(url: string): string | undefined {
  // Of one package, and not one part: signatures and everything else.
  if (/\/hono\/dist\/utils\/(?:jwt|encode)\b/.test(url)) return 'hono/jwt'
  const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  return name ?? /\/(src\/[^?]+)/.exec(url)?.[1]
}

function partOf(owner: string): string {
  return PARTS.find(([pattern]) => pattern.test(owner))?.[1] ?? 'native code without a caller'
}

function count(names: readonly string[]): Array<[name: string, share: number]> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts]
    .map(([name, n]): [string, number] => [name, n / names.length])
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, LONGEST_LIST)
}

function print(title: string, shares: ReadonlyArray<readonly [string, number]>): void {
  console.log(`\n${title}`)
  for (const [name, share] of shares)
    console.log(`${(share * 100).toFixed(1).padStart(6)} %  ${name}`)
}
