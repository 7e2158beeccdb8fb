// The background write that readiness rests on: `/readyz` itself never waits for the database.

import { sql } from 'drizzle-orm'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Loop } from '../platform/loop.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from './database.ts'
import type { Statement } from './statement.ts'
import { statement } from './statement.ts'
import { BEAT, heartbeats, STILL_FROM, STILL_TO } from './table.ts'

/** Whether the database took a write lately: a loop that writes every second. */
export interface Heartbeat extends Loop {
  /** Writes once; never throws. */
  beat(): Promise<void>
  /** True if a write succeeded in the last three seconds. */
  alive(): boolean
  /**
   * How many milliseconds after the moment `since` (milliseconds since 1970) lie in standstills: times of more than three seconds
   * without a write that succeeded, those in which no replica ran included. Of a write that began in one nobody knows: it may
   * have been executed at its end, when its client had long been refused.
   */
  stoodStill(since: number): number
}

const INTERVAL_MS = 1_000
const FRESH_MS = 3_000
/** Standstills remembered. An older one is forgotten: `stoodStill` no longer counts it. */
const KEPT = 100

/** Makes a heartbeat on a database; it has not beaten yet. */
export function createHeartbeat(
  database: Database,
  { clock, random, metrics }: { clock: Clock; random: Random; metrics: Metrics },
): Heartbeat {
  let lastSuccess = Number.NEGATIVE_INFINITY
  // In calendar time: when the last successful write began, and the last standstills. Before the first write of all there is none.
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

  /** Whether a write that succeeds at this moment ends a standstill. */
  function endsStandstill(moment: number): boolean {
    return !alive() && moment - written > FRESH_MS
  }

  async function beat(): Promise<void> {
    const at = clock.now()
    try {
      // Before our own first write it was another's, or ours before a restart.
      if (written === Number.POSITIVE_INFINITY) await recall(at)
      await write(at)
      const now = clock.now()
      const wasStill = endsStandstill(now)
      if (wasStill) standstills = [...standstills.slice(1 - KEPT), { from: written, to: now }]
      // The next standstill may begin where this one ended, not before.
      written = wasStill ? now : at
      lastSuccess = clock.elapsed()
    } catch {
      // Reported where it happened; here only the absence of success counts.
    }
  }

  /** Whoever starts first ends a standstill in which no replica ran; those that start later learn of it here. */
  async function recall(now: number): Promise<void> {
    const rows = await database.read((db) => db.select().from(heartbeats))
    const momentOf = (wanted: number) => rows.find(({ id }) => id === wanted)?.at
    const [last, from, to] = [momentOf(BEAT), momentOf(STILL_FROM), momentOf(STILL_TO)]
    // One that ends in the future was written by a wrong clock, and would keep the grace open until then.
    if (from !== undefined && to !== undefined && to <= now + FRESH_MS) standstills = [{ from, to }]
    written = last ?? written
  }

  /**
   * With the beat that ends a standstill, in one transaction: whoever sees the one sees the other. In that of others, if they wait: a
   * turn of its own, each second, would hold up clients where the database is slow, and come too late behind them.
   */
  async function write(at: number): Promise<void> {
    const standstill = [setting(STILL_FROM, written), setting(STILL_TO, at)]
    await database.commit([setting(BEAT, at), ...(endsStandstill(at) ? standstill : [])])
  }
}

function setting(id: number, at: number): Statement {
  return statement(sql`INSERT INTO heartbeats (id, at) VALUES (${id}, ${at})
    ON CONFLICT (id) DO UPDATE SET at = excluded.at`)
}
