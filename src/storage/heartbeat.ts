// The background write that readiness rests on: `/readyz` itself never waits for the database.

import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from './database.ts'
import { heartbeats } from './table.ts'

/** Whether the database took a write lately. */
export interface Heartbeat {
  /** Writes once; never throws. */
  beat(): Promise<void>
  /** True if a write succeeded in the last three seconds. */
  alive(): boolean
  /** Beats every second until stopped. */
  start(): void
  stop(): void
}

const INTERVAL_MS = 1_000
const FRESH_MS = 3_000

/** Makes a heartbeat on a database; it has not beaten yet. */
export function createHeartbeat(
  database: Database,
  { clock, random, metrics }: { clock: Clock; random: Random; metrics: Metrics },
): Heartbeat {
  let lastSuccess = Number.NEGATIVE_INFINITY
  metrics.declareWriteAge(() => (clock.elapsed() - lastSuccess) / 1_000)
  const loop = createLoop(INTERVAL_MS, random, beat)

  return {
    beat,
    alive: () => clock.elapsed() - lastSuccess <= FRESH_MS,
    start: loop.start,
    stop: loop.stop,
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
      lastSuccess = clock.elapsed()
    } catch {
      // Reported where it happened; here only the absence of success counts.
    }
  }
}
