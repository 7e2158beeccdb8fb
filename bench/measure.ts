// A whole run: servers, warm-up, rounds in turn, then the flood and the curves. Returns the figures.

import type { Curve } from './curve.ts'
import { LOGIN_RATES, measureCurve, READ_RATES } from './curve.ts'
import type { Load } from './drive.ts'
import { WrongAnswers } from './drive.ts'
import type { Figures } from './figures.ts'
import type { Flood } from './flood.ts'
import { flood } from './flood.ts'
import type { Burst } from './load.ts'
import { NOTHING } from './load.ts'
import type { Cores } from './machine.ts'
import type { Options } from './options.ts'
import type { Peer } from './peers.ts'
import { preparePeers } from './peers.ts'
import type { Progress } from './progress.ts'
import type { Stage } from './stage.ts'
import type { Start, Starter } from './startup.ts'
import { createStarters } from './startup.ts'
import type { Prepared, Subject } from './subjects.ts'
import { prepare } from './subjects.ts'

/** Of one burst. */
const TRIES = 3
const [READS, LOGINS] = [
  { rates: READ_RATES, seconds: 3 },
  { rates: LOGIN_RATES, seconds: 5 },
]
/** A hundred logins and more in a burst: of fewer, the 99th percentile would be the slowest. */
const HEAVY_SECONDS = 2

/** Measures everything that the options ask for. */
export async function measure(
  stage: Stage,
  { options, cores, progress }: { options: Options; cores: Cores; progress: Progress },
): Promise<Figures> {
  const { logins } = options
  const { peers, skipped } = options.peers
    ? await preparePeers(stage, { cores, logins }, progress.say)
    : { peers: [], skipped: ['other servers: --peers measures them'] }
  progress.say('starting the servers, making accounts and tokens')
  const prepared = await prepare(stage, cores, { peers, edge: options.edge, logins })
  const starters = [...createStarters(stage), ...peers.map(({ starter }) => starter)]
  progress.say('warming up')
  await warmUp(prepared.subjects, starters, options)

  const rounds = await measureRounds(prepared.subjects, starters, { options, progress })
  const overload = options.overload
    ? await measureOverload(prepared, peers, progress)
    : { floods: [], reads: [], logins: [], skipped: ['flood and curves: left out'] }
  return {
    ...rounds,
    ...overload,
    peers: peers.map(({ name, about }) => [name, about]),
    skipped: [...skipped, ...prepared.skipped, ...overload.skipped],
  }
}

async function warmUp(
  subjects: readonly Subject[],
  starters: readonly Starter[],
  { warmUpSeconds }: Options,
): Promise<void> {
  const of = (weight: Subject['weight']) => subjects.filter((one) => one.weight === weight)
  await Promise.all(of('light').map(({ burst }) => burst(warmUpSeconds)))
  // One after the other: under more load than they can serve they would begin to refuse, as they should.
  for (const { burst } of of('heavy'))
    await patiently(
      () => burst(warmUpSeconds),
      () => {},
    )
  for (const { prime } of starters) await prime()
}

async function measureRounds(
  subjects: readonly Subject[],
  starters: readonly Starter[],
  { options, progress }: { options: Options; progress: Progress },
): Promise<Pick<Figures, 'bursts' | 'starts' | 'repeated'>> {
  const repeated: string[] = []
  const bursts: Record<string, Burst[]> = lists(subjects)
  const starts: Record<string, Start[]> = lists(starters)
  for (let round = 1; round <= options.rounds; round += 1) {
    const say = (what: string) => progress.say(`round ${round} of ${options.rounds}: ${what}`)
    // Forth and back: nothing always comes after the same neighbour.
    for (const { name, weight, burst } of inTurn(subjects, round)) {
      say(name)
      const seconds = options.seconds * (weight === 'heavy' ? HEAVY_SECONDS : 1)
      const one = await patiently(
        () => burst(seconds),
        (reason) => repeated.push(`${name} in round ${round} (${reason})`),
      )
      bursts[name]?.push(one)
    }
    if (round > options.startRounds) continue
    for (const { name, time } of inTurn(starters, round)) {
      say(name)
      starts[name]?.push(await time())
    }
  }
  return { bursts, starts, repeated }
}

/**
 * On a machine that others keep busy, a server that refuses late work does so now and then, and such a burst says nothing.
 * If it stays so, the burst is left out, and its place in the rounds kept.
 */
async function patiently(
  run: () => Promise<Burst>,
  onFault: (reason: string) => void,
): Promise<Burst> {
  for (let left = TRIES; left > 0; left -= 1) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof WrongAnswers)) throw error
      onFault(error.message.split('\n')[0] ?? '')
    }
  }
  return NOTHING
}

/** One server after the other. What goes wrong with one of them is told, and costs no figure of another. */
async function measureOverload(
  { loads }: Prepared,
  peers: readonly Peer[],
  { say }: Progress,
): Promise<Overload> {
  const found: Overload = { floods: [], reads: [], logins: [], skipped: [] }
  const all: ReadonlyArray<{ name: string; login: Load; read: Load }> = [
    { name: 'Munjigi', login: loads.login, read: loads.me },
    ...peers.map(({ name, loads: theirs }) => ({ name, ...theirs })),
  ]
  for (const { name, login, read } of all) {
    try {
      say(`${name}: reads at rising rates`)
      found.reads.push(await measureCurve(name, read, READS))
      say(`${name}: logins at rising rates`)
      found.logins.push(await measureCurve(name, login, LOGINS))
      say(`${name}: flood`)
      found.floods.push(await flood(name, { login, read }))
    } catch (error) {
      found.skipped.push(
        `${name} under overload: ${error instanceof Error ? error.message : error}`,
      )
    }
  }
  return found
}

interface Overload {
  readonly floods: Flood[]
  readonly reads: Curve[]
  readonly logins: Curve[]
  readonly skipped: string[]
}

function inTurn<T>(items: readonly T[], round: number): readonly T[] {
  return round % 2 === 1 ? items : items.toReversed()
}

function lists<T>(items: readonly { readonly name: string }[]): Record<string, T[]> {
  return Object.fromEntries(items.map(({ name }) => [name, []]))
}
