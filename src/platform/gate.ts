// Bounded concurrency with a bounded queue: a few at work, a few waiting, the rest refused at once.
// A server that queues without bound answers nobody in time; one that refuses early serves the others.

import type { Clock } from './clock.ts'

/** What a gate throws instead of queueing without bound. */
export class GateFull extends Error {
  override readonly name = 'GateFull'
}

/** How many run at once, how many may wait behind them, and for how long (milliseconds). */
export interface GateLimits {
  readonly running: number
  readonly waiting: number
  readonly patience: number
}

/** A gate that work passes in the order of its arrival. */
export interface Gate {
  /** Runs `work` when there is room. Throws `GateFull` when the queue is full, or its turn comes too late. */
  run<T>(work: () => Promise<T>): Promise<T>
  running(): number
  waiting(): number
}

interface Waiting {
  readonly since: number
  readonly enter: () => void
  readonly giveUp: (reason: GateFull) => void
}

/** Makes a gate with the given limits. */
export function createGate(limits: GateLimits, clock: Clock): Gate {
  const queue: Waiting[] = []
  let running = 0

  return {
    async run(work) {
      if (running < limits.running) running += 1
      else await turn()
      try {
        return await work()
      } finally {
        leave()
      }
    },
    running: () => running,
    waiting: () => queue.length,
  }

  function turn(): Promise<void> {
    if (queue.length >= limits.waiting) throw new GateFull()
    return new Promise((enter, giveUp) => queue.push({ since: clock.elapsed(), enter, giveUp }))
  }

  /** The place is handed to the next in line, never freed in between: nobody can slip past the queue. */
  function leave(): void {
    const next = nextInTime()
    if (next) next.enter()
    else running -= 1
  }

  /** Whoever waited too long has been told something else by now: work for nobody would delay the others. */
  function nextInTime(): Waiting | undefined {
    const inTime = queue.findIndex(({ since }) => clock.elapsed() - since <= limits.patience)
    const late = queue.splice(0, inTime < 0 ? queue.length : inTime)
    for (const { giveUp } of late) giveUp(new GateFull())
    return queue.shift()
  }
}
