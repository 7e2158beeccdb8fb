// bun bench/timing.ts [N]: whether the time of a failed login tells if the user exists (docs/security.md). N logins of each
// kind in random order on one connection; first on a build that answers early for unknown users, which it must catch.

import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EARLY_EXIT, spoil } from './careless.ts'
import { operation, send } from './requests.ts'
import type { Server, Stage } from './stage.ts'
import { createStage, ROOT, SERVE, settings } from './stage.ts'
import { mostByChance, shuffle, tellApart } from './statistics.ts'

const COUNT = Number(process.argv[2] ?? 1_000)
/** Enough for a difference that anybody could hear. */
const PROOF_COUNT = Math.min(COUNT, 200)
const WARM_UP = 20
const USERS = 20
const SIGNUP =
  'mutation ($email: String!, $password: String!) { signup(email: $email, password: $password) { user { id } } }'
const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { __typename } }'

await using stage = createStage()

const careless = await measure(carelessCopy(stage), PROOF_COUNT)
tell('a build that answers early', careless)
if (!differs(careless))
  throw new Error('a difference that is there was not seen: the measurement is worth nothing')
const ours = await measure(SERVE, COUNT)
tell('ours', ours)
process.exitCode = differs(ours) ? 1 : 0

interface Result {
  readonly count: number
  readonly auc: number
  /** Tenth percentiles, ms. */
  readonly known: number
  readonly unknown: number
}

/** The share of pairs in which the known user took longer would be 0.5. */
function differs({ auc, count }: Result): boolean {
  return Math.abs(auc - 0.5) > mostByChance(count)
}

async function measure(program: readonly string[], count: number): Promise<Result> {
  const server = await stage.start({
    args: program,
    env: {
      ...settings(stage.path(`timing-${count}-${program.length}.db`)),
      MUNJIGI_THROTTLE_USER_ATTEMPTS: '0',
      MUNJIGI_THROTTLE_ADDRESS_ATTEMPTS: '0',
    },
    cores: undefined,
  })
  for (let i = 0; i < USERS; i += 1) await post(server, SIGNUP, name('known', i))
  for (let i = 0; i < WARM_UP; i += 1) await timed(server, i % 2 === 0 ? 'known' : 'never', i)
  const kinds = shuffle(Array.from({ length: 2 * count }, (_, i) => (i % 2 ? 'known' : 'never')))
  const times: Record<string, number[]> = { known: [], never: [] }
  for (const [i, kind] of kinds.entries()) times[kind]?.push(await timed(server, kind, i))
  await server.stop()
  return { count, ...tellApart(times['known'] ?? [], times['never'] ?? []) }
}

/** Milliseconds until a login with a wrong password was refused. */
async function timed(server: Server, kind: string, i: number): Promise<number> {
  const started = performance.now()
  const text = await post(server, LOGIN, name(kind, i % USERS))
  const ms = performance.now() - started
  if (!text.includes('"INVALID_CREDENTIALS"')) throw new Error(`not the right answer: ${text}`)
  return ms
}

async function post({ url }: Server, query: string, email: string): Promise<string> {
  const password = query === SIGNUP ? 'correct horse battery staple' : 'wrong horse battery staple'
  return await (await send(url, operation(query, { variables: { email, password } }))).text()
}

/** Of one length, whoever it is. */
function name(kind: string, i: number): string {
  return `${kind}-${String(i).padStart(3, '0')}@example.com`
}

/** The program as it is here, but for one line. Returns how to run it. */
function carelessCopy(on: Stage): readonly string[] {
  const folder = on.path('careless')
  for (const part of ['src', 'package.json'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const file = join(folder, EARLY_EXIT.file)
  writeFileSync(file, spoil(readFileSync(file, 'utf8')))
  return ['--no-env-file', join(folder, 'src/main.ts'), 'serve']
}

function tell(what: string, { count, auc, known, unknown }: Result): void {
  console.log(
    `${what}: ${count} each, AUC ${auc.toFixed(3)} (0.5 ± ${mostByChance(count).toFixed(3)}); tenth percentile ${known.toFixed(1)} ms known, ${unknown.toFixed(1)} ms unknown`,
  )
}
