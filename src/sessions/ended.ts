// Which sessions ended lately: followed in the background, so that every replica refuses their access tokens within a
// second and no request reads anything. Memory is bounded by the life of an access token.

import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Loop } from '../platform/loop.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import type { SessionId } from './session.ts'
import { selectEnded } from './store.ts'

/** The ended sessions whose access tokens may still be in force: a loop that looks several times a second. */
export interface EndedSessions extends Loop {
  /** Whether a session is known to have ended. Never waits. */
  has(id: string): boolean
  /** Remembers what this replica has just ended, ahead of the next look. */
  add(ids: readonly SessionId[]): void
  /** Looks once at what ended since the last look. Throws nothing: what is known stays known. */
  follow(): Promise<void>
  /** Whether the last look that succeeded is recent. */
  current(): boolean
}

/** What it is made from. `lifetime`: seconds that an access token can be in force, the difference of the replicas' clocks included. */
export interface EndedSessionsOptions {
  readonly database: Database
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly lifetime: number
}

/** Well below the second that was promised. */
const INTERVAL_MS = 300
const CURRENT_MS = 3_000
const PAGE = 1_000
/** How far behind the clock of whoever ends a session may be: it may be an operator's machine. */
const CLOCKS_APART_MS = 3_600_000

/** Makes the list, empty; `follow` once before serving. */
export function createEndedSessions({
  database,
  clock,
  random,
  metrics,
  lifetime,
}: EndedSessionsOptions): EndedSessions {
  // Two generations, each a lifetime long: dropping the older one forgets what has no token in force any more.
  let young = new Set<string>()
  let old = new Set<string>()
  let turned = clock.elapsed()
  // The newest that was seen.
  let last: { readonly sequence: number; readonly sessionId: SessionId } | undefined
  let lastSuccess = Number.NEGATIVE_INFINITY
  const loop = createLoop(INTERVAL_MS, random, follow)
  metrics.declareEndedKnown(() => young.size + old.size)
  metrics.declareEndedLag(() => (clock.elapsed() - lastSuccess) / 1_000)

  return {
    ...loop,
    has: (id) => young.has(id) || old.has(id),
    add,
    follow,
    current: () => clock.elapsed() - lastSuccess <= CURRENT_MS,
  }

  async function follow(): Promise<void> {
    try {
      for (let more = true; more; ) {
        const since = clock.now() - lifetime * 1_000 - CLOCKS_APART_MS
        const from = { sequence: last?.sequence ?? 0, since, limit: PAGE }
        const rows = await database.read((db) => selectEnded(db, from))
        // The last row seen should come again, first. If not, it was swept, or an older database was put back, whose sequence
        // numbers will come again for other sessions: look at everything anew.
        const again = last ? rows.shift() : undefined
        if (again?.sessionId !== last?.sessionId) {
          last = undefined
          continue
        }
        add(rows.map(({ sessionId }) => sessionId))
        last = rows.at(-1) ?? last
        more = rows.length >= PAGE - 1
      }
      lastSuccess = clock.elapsed()
    } catch {
      // Reported where it happened. What is known is kept, and `current` says that it may be old.
    }
  }

  function add(ids: readonly SessionId[]): void {
    if (clock.elapsed() - turned > lifetime * 1_000) {
      ;[young, old] = [new Set(), young]
      turned = clock.elapsed()
    }
    for (const id of ids) young.add(id)
  }
}
