// The priority of the threads of Bun's pool, which compute the hashes. Where all cores are busy, an answer that is due would
// else wait for the time slices of hashes, and what answers a hundred requests at once be interrupted in the middle.

import { readdirSync, readFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import type { Loop } from './loop.ts'
import { createLoop } from './loop.ts'
import type { Random } from './random.ts'

/**
 * As `nice` counts. Where both want the same core such a thread gets a quarter of it and the event loop the rest; less, and
 * light requests by the thousand could keep anybody from logging in.
 */
export const POOL_NICE = 5

/** As Bun names them. */
const POOL = /^Bun Pool /
/** They begin when there is work for them, so it is looked for new ones. */
const LOOK_MS = 1_000
const THREADS = '/proc/self/task'

/** Keeps the threads of the pool at the lower priority, on Linux; elsewhere nothing happens. */
export function createPoolPriority(random: Random): Loop {
  const { start, stop } = createLoop(LOOK_MS, random, async () => lower())
  return {
    start() {
      lower()
      start()
    },
    stop,
  }
}

function lower(): void {
  try {
    for (const thread of readdirSync(THREADS))
      if (POOL.test(readFileSync(`${THREADS}/${thread}/comm`, 'utf8')))
        setPriority(Number(thread), POOL_NICE)
  } catch {
    // Not Linux, or a thread has ended in the meantime: the next look is soon.
  }
}
