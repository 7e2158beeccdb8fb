// The priority of the threads of Bun's pool, which compute the hashes. Where all cores are busy, an answer that is due would
// else wait for the time slices of hashes, and what answers a hundred requests at once be interrupted in the middle.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import type { Loop } from './loop.ts'
import { createLoop } from './loop.ts'
import type { Random } from './random.ts'

/**
 * How much nicer than the event loop. Where both want the same core such a thread gets a quarter of it and the event loop the
 * rest; less, and light requests by the thousand could keep anybody from logging in.
 */
export const POOL_NICER = 5

const NICEST = 19
/** As Bun names them. */
const POOL = /^Bun Pool /
/** They begin when there is work for them, as nice as who began them: mostly another of the pool, but it may be the event loop. */
const LOOK_MS = 1_000
const THREADS = '/proc/self/task'

/** Keeps the threads of the pool at the lower priority, on Linux; elsewhere nothing happens. */
export function createPoolPriority(random: Random): Loop {
  const nice = Math.min(getPriority() + POOL_NICER, NICEST)
  const { start, stop } = createLoop(LOOK_MS, random, async () => lower(nice))
  return {
    start() {
      if (!canTellThreads()) return
      lower(nice)
      start()
    },
    stop,
  }
}

/** Not where there is no `/proc`, nor where it is that of other processes. */
function canTellThreads(): boolean {
  try {
    return readlinkSync('/proc/self') === String(process.pid)
  } catch {
    return false
  }
}

function lower(nice: number): void {
  for (const thread of threads()) {
    try {
      if (POOL.test(readFileSync(`${THREADS}/${thread}/comm`, 'utf8')))
        setPriority(Number(thread), nice)
    } catch {
      // It has ended in the meantime; or may not be nice, and then serves as well as before.
    }
  }
}

function threads(): string[] {
  try {
    return readdirSync(THREADS)
  } catch {
    // No file may be opened just now. The next look is in a second.
    return []
  }
}
