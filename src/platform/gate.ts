// Bounded concurrency with a bounded queue: a few at work, a few waiting, the rest refused at once.
// A server that queues without bound answers nobody in time; one that refuses early serves the others.

import type { Clock } from './clock.ts'

/** What a gate throws instead of queueing without bound. */
export class GateFull extends Error {
  override readonly name = 'GateFull'
}

/** What a gate throws to who left the queue. */
export class GateLeft extends Error {
  override readonly name = 'GateLeft'
}

/** How many run at once, how many may wait behind them, and for how long (milliseconds). */
export interface GateLimits {
  readonly running: number
  readonly waiting: number
  readonly patience: number
}

/** A gate that work passes in the order of its arrival. */
export interface Gate {
  /**
   * Runs `work` when there is room. Throws `GateFull` when the queue is full, or so long that the turn would come too
   * late, or did; `GateLeft` when `signal` is aborted while it waits.
   */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  running(): number
  waiting(): number
}

interface Waiting {
  readonly since: number
  readonly enter: () => void
  readonly giveUp: (reason: GateFull | GateLeft) => void
}

/** How much the newest work says about how long work takes. */
const NEWEST_SHARE = 0.2

/** Makes a gate with the given limits. */
export function createGate(limits: GateLimits, clock: Clock): Gate {
  const queue: Waiting[] = []
  let running = 0
  /** How long work takes, lately: milliseconds. */
  let pace = 0

  return {
    async run(work, signal) {
      if (running < limits.running) running += 1
      else await turn(signal)
      const started = clock.elapsed()
      try {
        return await work()
      } finally {
        pace += (clock.elapsed() - started - pace) * NEWEST_SHARE
        leave()
      }
    },
    running: () => running,
    waiting: () => queue.length,
  }

  async function turn(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw new GateLeft()
    // Who would be refused when the turn comes is refused now, while there is time to try elsewhere.
    const wait = (queue.length / limits.running) * pace
    if (queue.length >= limits.waiting || wait > limits.patience) throw new GateFull()
    const { promise, resolve: enter, reject: giveUp } = Promise.withResolvers<void>()
    const waiting = { since: clock.elapsed(), enter, giveUp }
    queue.push(waiting)
    const quit = () => leaveQueue(waiting)
    signal?.addEventListener('abort', quit)
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', quit)
    }
  }

  function leaveQueue(waiting: Waiting): void {
    const place = queue.indexOf(waiting)
    if (place >= 0) queue.splice(place, 1)
    waiting.giveUp(new GateLeft())
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
