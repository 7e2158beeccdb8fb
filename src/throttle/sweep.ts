// Keeping the tables small: rows that expired go, and when a flood has left too many counts, those with the fewest attempts.

import type { Clock } from '../platform/clock.ts'
import { BATCH_ROWS, betweenBatches, inBatches } from '../storage/batches.ts'
import type { Database } from '../storage/database.ts'
import { countRows, sweepExpired, sweepSmall } from './store.ts'

/** Counts kept; beyond it those with the fewest attempts go. */
const MOST_ROWS = 100_000

/** Deletes what expired, batch by batch, and then counts beyond the most that are kept. */
export async function sweepThrottles(database: Database, clock: Clock): Promise<void> {
  const now = clock.now()
  await inBatches((rows) => database.write((db) => sweepExpired(db, { now, rows })))
  await sweepExcess(database)
}

/** Counts of one attempt go first, in no order: what an attacker works on outlives what a flood leaves behind. */
async function sweepExcess(database: Database): Promise<void> {
  for (let attempts = 1; attempts < Number.MAX_SAFE_INTEGER; ) {
    // Counted again each time: other replicas sweep too.
    const excess = (await database.read(countRows)) - MOST_ROWS
    if (excess <= 0) return
    const small = { attempts, rows: Math.min(BATCH_ROWS, excess) }
    if ((await database.write((db) => sweepSmall(db, small))) === 0) attempts *= 2
    await betweenBatches()
  }
}
