// The priority of the threads of Bun's pool, which compute the hashes. At equal priority and with all cores busy, an answer
// that is due would wait for the time slices of hashes, and a turn that answers a hundred requests would be interrupted.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import type { Loop } from './loop.ts'
import { createLoop } from './loop.ts'
import type { Random } from './random.ts'

/**
 * How much nicer they are than the event loop. Where both want the same core, such a thread gets a quarter of it and the event
 * loop the rest. With less, thousands of light requests could keep anybody from logging in.
 */
export const POOL_NICER = 5

const NICEST = 19
/** As Bun names them. */
const POOL = /^Bun Pool /
/** A thread starts when there is work, as nice as what started it: mostly another of the pool, but it may be the event loop. */
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

/** False where there is no `/proc`, or where it shows the processes of another PID namespace. */
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
      // The thread has ended meanwhile; or its priority may not be changed, and it works on as before.
    }
  }
}

function threads(): string[] {
  try {
    return readdirSync(THREADS)
  } catch {
    // No file can be opened just now. The next look is in a second.
    return []
  }
}
