// The read replica: a second database server that shows what the primary holds, a little later. It is asked what decides
// nothing (stale reads), and only while its last look says that it is at most seconds behind: what hangs, fails, lags, or is
// empty is not asked at all, so that a server in trouble costs its clients nothing but that one short wait that showed it.

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
   * What `ask` brings from it. Null, and never an error, where the primary has to be asked instead: it is away or far behind,
   * or its answer is not enough.
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
/** Beats and looks are a second apart each: twice that, and the lag. */
const FARTHEST_BEHIND_MS = 5_000

/** Makes it; nothing is known of it before the first look. */
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
      // Nobody else waits for it before the next look.
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

  /** Once, and only of what two looks found: at our start nobody may have written for long, and one lost answer is no news. */
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

  /** Never negative: the clock of who wrote the beat may be ahead of ours. */
  function age(): number {
    return Math.max(0, clock.now() - beat)
  }
}
