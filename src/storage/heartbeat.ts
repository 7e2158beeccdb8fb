// The background write that readiness rests on: `/readyz` itself never waits for the database.

import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Loop } from '../platform/loop.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from './database.ts'
import { heartbeats } from './table.ts'

/** Whether the database took a write lately: a loop that writes every second. */
export interface Heartbeat extends Loop {
  /** Writes once; never throws. */
  beat(): Promise<void>
  /** True if a write succeeded in the last three seconds. */
  alive(): boolean
  /**
   * For how long since a moment no write succeeded, in standstills of three seconds and more. What was begun in one may have
   * been done at its end, after whoever had asked for it was refused. Milliseconds; the moment since 1970.
   */
  stoodStill(since: number): number
}

const INTERVAL_MS = 1_000
const FRESH_MS = 3_000
/** So many standstills are remembered. What an older one took counts again. */
const KEPT = 100

/** Makes a heartbeat on a database; it has not beaten yet. */
export function createHeartbeat(
  database: Database,
  { clock, random, metrics }: { clock: Clock; random: Random; metrics: Metrics },
): Heartbeat {
  let lastSuccess = Number.NEGATIVE_INFINITY
  // By the clock: when the last write that succeeded began, and the last standstills. There was none before the first write.
  let written = Number.POSITIVE_INFINITY
  let standstills: ReadonlyArray<{ readonly from: number; readonly to: number }> = []
  metrics.declareWriteAge(() => (clock.elapsed() - lastSuccess) / 1_000)
  const loop = createLoop(INTERVAL_MS, random, beat)

  return {
    ...loop,
    beat,
    alive,
    stoodStill(since) {
      const all = alive() ? standstills : [...standstills, { from: written, to: clock.now() }]
      return all.reduce((sum, { from, to }) => sum + Math.max(0, to - Math.max(from, since)), 0)
    },
  }

  function alive(): boolean {
    return clock.elapsed() - lastSuccess <= FRESH_MS
  }

  async function beat(): Promise<void> {
    const at = clock.now()
    try {
      await database.write((db) =>
        db
          .insert(heartbeats)
          .values({ id: 1, at })
          .onConflictDoUpdate({ target: heartbeats.id, set: { at } }),
      )
      const now = clock.now()
      const stoodStill = !alive()
      if (stoodStill) standstills = [...standstills.slice(1 - KEPT), { from: written, to: now }]
      // The next one may begin where this one ended, not before.
      written = stoodStill ? now : at
      lastSuccess = clock.elapsed()
    } catch {
      // Reported where it happened; here only the absence of success counts.
    }
  }
}
