// The read replica: a second database server that shows what the primary holds, a little later. It answers only what decides
// nothing (stale reads), and only while our last look found it at most seconds behind. One that hangs, fails, lags, or is empty
// is not asked at all, so that it costs clients no more than the one short wait that revealed it.

import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Loop } from '../platform/loop.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'
import { toFault } from './faults.ts'

/** Whom to ask before the primary: a loop that looks every second. */
export interface ReadReplica extends Loop {
  /**
   * The answer that `ask` gets from it. Null, and never an error, when the primary has to be asked instead: the read replica is
   * away or far behind, or its answer is not enough.
   */
  answer<T>(
    ask: () => Promise<T>,
    isEnough: (answer: T) => boolean,
  ): Promise<{ readonly value: T } | null>
  /** Looks once whether it answers and how old what it shows is. Throws nothing. */
  look(): Promise<void>
}

/** What it is made from. `newestBeat`: when the newest heartbeat that it shows was written, in milliseconds since 1970. */
export interface ReadReplicaOptions {
  readonly newestBeat: () => Promise<number | undefined>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
}

const INTERVAL_MS = 1_000
/** Heartbeats are a second apart, and so are looks: two seconds for these, the rest for its lag. */
const FARTHEST_BEHIND_MS = 5_000

/** Makes it. Before the first look it counts as far behind. */
export function createReadReplica(options: ReadReplicaOptions): ReadReplica {
  const { newestBeat, clock, random, log, metrics } = options
  let beat = Number.NEGATIVE_INFINITY
  let fault: string | undefined
  let trouble: string | undefined
  let told = false
  const loop = createLoop(INTERVAL_MS, random, look)
  metrics.declareReadReplicaAge(() => age() / 1_000)

  return {
    ...loop,
    async answer(ask, isEnough) {
      const result = await asked(ask, isEnough)
      metrics.countStaleRead(typeof result === 'string' ? result : 'answered')
      return typeof result === 'string' ? null : result
    },
    look,
  }

  async function asked<T>(
    ask: () => Promise<T>,
    isEnough: (answer: T) => boolean,
  ): Promise<{ value: T } | 'away' | 'behind'> {
    if (fault !== undefined) return 'away'
    if (isBehind()) return 'behind'
    try {
      const value = await ask()
      return isEnough(value) ? { value } : 'behind'
    } catch (error) {
      // So that nobody else waits for it before the next look.
      fault = toFault(error).detail
      return 'away'
    }
  }

  async function look(): Promise<void> {
    try {
      beat = (await newestBeat()) ?? Number.NEGATIVE_INFINITY
      fault = undefined
    } catch (error) {
      fault = toFault(error).detail
    }
    tell(fault ?? (isBehind() ? 'behind' : undefined))
  }

  /** Logs trouble once, when two looks in a row found it: at our start the newest beat may be old, and one lost answer is no news. */
  function tell(found: string | undefined): void {
    if (found !== undefined && trouble !== undefined && !told) {
      log.warn('read_replica.away', { reason: found })
      told = true
    }
    if (found === undefined && told) {
      log.info('read_replica.back')
      told = false
    }
    trouble = found
  }

  function isBehind(): boolean {
    return age() > FARTHEST_BEHIND_MS
  }

  /** Never negative: the clock of the replica that wrote the beat may be ahead of ours. */
  function age(): number {
    return Math.max(0, clock.now() - beat)
  }
}
