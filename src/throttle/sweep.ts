// Keeping the tables small: rows that expired go, and when a flood has left too many counts, those with the fewest attempts.

import type { Clock } from '../platform/clock.ts'
import type { Database } from '../storage/database.ts'
import { countRows, sweepExpired, sweepSmall } from './store.ts'

/** Few at a time: other writes wait meanwhile. */
const SWEPT_ROWS = 500
const SWEPT_BATCHES = 100
/** Counts kept; beyond it those with the fewest attempts go. */
const MOST_ROWS = 100_000

/** Deletes what expired, batch by batch, and then counts beyond the most that are kept. */
export async function sweepThrottles(database: Database, clock: Clock): Promise<void> {
  const expired = { now: clock.now(), rows: SWEPT_ROWS }
  for (let batch = 0; batch < SWEPT_BATCHES; batch += 1)
    if ((await database.write((db) => sweepExpired(db, expired))) < SWEPT_ROWS) break
  await sweepExcess(database)
}

/** Counts of one attempt go first, in no order: what an attacker works on outlives what a flood leaves behind. */
async function sweepExcess(database: Database): Promise<void> {
  for (let attempts = 1; attempts < Number.MAX_SAFE_INTEGER; ) {
    // Counted again each time: other replicas sweep too.
    const excess = (await database.read(countRows)) - MOST_ROWS
    if (excess <= 0) return
    const small = { attempts, rows: Math.min(SWEPT_ROWS, excess) }
    if ((await database.write((db) => sweepSmall(db, small))) === 0) attempts *= 2
  }
}
