// npm run drill flood [-- --seconds N --concurrency N]: ten times the logins that can be hashed, from as many addresses, for a
// minute. Light requests must not notice, those who are let in must be served, the rest told at once, and memory stays.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { KIM, LOGIN, ME, SIGNUP } from '../../src/testing/app.ts'
import { ask } from '../ask.ts'
import type { Outcome, Send } from '../load.ts'
import { closedLoop, ended, openLoop, quantile, timed } from '../load.ts'
import { residentMemory } from '../memory.ts'
import { startServer } from '../server.ts'
import { until } from '../until.ts'
import { wholeNumber } from '../whole-number.ts'

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { seconds: { type: 'string' }, concurrency: { type: 'string' } },
})
const seconds = wholeNumber(values.seconds, 60)
const atOnce = wholeNumber(values.concurrency, availableParallelism())
const TIMES = 10
const CALIBRATION_SECONDS = 10
const RECOVERY_SECONDS = 5
/** No user is tried more often at a time than any user may be. */
const USERS = 40
/** MiB that one hash takes, and that everything else may grow by. */
const [HASH_MIB, SPARE_MIB] = [19, 100]

await using server = await startServer({
  mode: 'serve',
  env: {
    MUNJIGI_PASSWORD_HASH_CONCURRENCY: String(atOnce),
    // As behind an edge: every login has an address of its own, and all throttles are on.
    MUNJIGI_TRUSTED_PEERS: '127.0.0.1,::1',
    MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-client-address',
  },
})
const { url } = server
let addresses = 0
const address = () => {
  addresses += 1
  return {
    'x-client-address': `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses & 255}`,
  }
}
const as = (query: string, user: number) =>
  ask(url, query, {
    variables: { ...KIM, email: `user-${user}@example.com` },
    headers: address(),
  })
let user = 0
const login: Send = async () => {
  user = (user + 1) % USERS
  const { code, data } = await as(LOGIN, user)
  return data?.login ? 'accepted' : String(code)
}

for (let i = 0; i < USERS; i += 1) await as(SIGNUP, i)
// The one who reads does not log in as well: a hundred logins later the session of this token would end.
const reader = await as(SIGNUP, USERS)
const token = reader.data.signup.tokens.accessToken
const light: Record<string, Send> = {
  me: async () => ((await ask(url, ME, { token })).data?.me ? 'ok' : 'wrong'),
  jwks: () => statusOf('/.well-known/jwks.json'),
  readyz: () => statusOf('/readyz'),
}

const calm = await closedLoop(login, {
  connections: 4 * atOnce,
  seconds: CALIBRATION_SECONDS,
})
const unloaded = ended(calm, 'accepted').length / CALIBRATION_SECONDS
const usual = await usualLogin()
const residentMib = () => residentMemory([server.process.pid]) ?? Number.NaN
const idleMib = residentMib()
console.log(
  `${atOnce} at once; unloaded ${unloaded.toFixed(1)} logins/s, one alone p95 ${usual.toFixed(0)} ms, ${idleMib.toFixed(0)} MiB; offering ${(TIMES * unloaded).toFixed(0)}/s for ${seconds} s`,
)

let peakMib = 0
const watching = setInterval(() => {
  peakMib = Math.max(peakMib, residentMib())
}, 100)
const [flood, ...probes] = await Promise.all([
  openLoop(login, { rate: TIMES * unloaded, seconds }),
  ...Object.values(light).map((send) => openLoop(send, { rate: 20, seconds })),
])
clearInterval(watching)
const recovered = await recovery()

const accepted = ended(flood ?? [], 'accepted')
const refused = ended(flood ?? [], 'OVERLOADED')
const other = (flood ?? []).length - accepted.length - refused.length
const mostMib = idleMib + atOnce * HASH_MIB + SPARE_MIB
const verdicts = [
  ...Object.keys(light).map((name, i) => lightVerdict(name, probes[i] ?? [])),
  verdict(
    'accepted logins',
    accepted.length / seconds / unloaded >= 0.9 && quantile(accepted, 0.99) <= 1_000,
    `${(accepted.length / seconds).toFixed(1)}/s, ${((accepted.length / seconds / unloaded) * 100).toFixed(0)} % of unloaded (least 90), p99 ${quantile(accepted, 0.99).toFixed(0)} ms (most 1,000)`,
  ),
  verdict(
    'refused logins',
    quantile(refused, 0.99) <= 100 && other === 0,
    `${refused.length} OVERLOADED, p99 ${quantile(refused, 0.99).toFixed(0)} ms (most 100); ${other} anything else (none)`,
  ),
  verdict(
    'memory',
    peakMib <= mostMib,
    `${peakMib.toFixed(0)} MiB at most (most ${mostMib.toFixed(0)})`,
  ),
  verdict(
    'normal again',
    recovered <= RECOVERY_SECONDS,
    `after ${recovered.toFixed(1)} s (most ${RECOVERY_SECONDS})`,
  ),
]
process.exitCode = verdicts.every(Boolean) ? 0 : 1

async function statusOf(path: string): Promise<string> {
  const response = await fetch(url + path)
  await response.arrayBuffer()
  return response.status === 200 ? 'ok' : 'wrong'
}

/** How long one login takes when there is nothing else: p95, ms. */
async function usualLogin(): Promise<number> {
  const alone = await closedLoop(login, { connections: 1, seconds: 3 })
  return quantile(ended(alone, 'accepted'), 0.95)
}

/** Seconds until five logins in a row are as fast as usual. */
async function recovery(): Promise<number> {
  const started = performance.now()
  let inTime = 0
  await until(
    'logins are as fast as usual',
    async () => {
      const { what, ms } = await timed(login)
      inTime = what === 'accepted' && ms <= 1.5 * usual ? inTime + 1 : 0
      return inTime >= 5
    },
    60_000,
  )
  return (performance.now() - started) / 1_000
}

function lightVerdict(name: string, outcomes: readonly Outcome[]): boolean {
  const errors = outcomes.length - ended(outcomes, 'ok').length
  const p99 = quantile(outcomes, 0.99)
  const text = `${outcomes.length} requests, ${errors} errors (none), p50 ${quantile(outcomes, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(0)} ms (most 50)`
  return verdict(name, errors === 0 && p99 <= 50, text)
}

function verdict(what: string, holds: boolean, text: string): boolean {
  console.log(`${holds ? 'holds ' : 'FAILS '} ${what}: ${text}`)
  return holds
}
