// Bounded concurrency with a bounded queue: a few at work, a few waiting, the rest refused at once.
// A server that queues without bound answers nobody in time; one that refuses early serves the others.

import type { Clock } from './clock.ts'
import { StacklessError } from './stackless.ts'

/** What a gate throws instead of queueing without bound. */
export class GateFull extends StacklessError {
  override readonly name = 'GateFull'
}

/** What a gate throws to a caller that left the queue. */
export class GateLeft extends StacklessError {
  override readonly name = 'GateLeft'
}

/** How many run at once, and who is refused. Times: milliseconds. */
export interface GateLimits {
  readonly running: number
  /** How many may wait. */
  readonly waiting: number
  /** The longest wait; whoever's turn comes later than that is refused. */
  readonly patience: number
  /** The longest wait to be expected, at the pace of recent work; whoever would wait longer is refused at once. */
  readonly foreseen?: number
}

/** A gate that work passes in the order of its arrival. */
export interface Gate {
  /** Runs `work` when there is room. Throws `GateFull` when there are too many, `GateLeft` to a caller that leaves the queue. */
  run<T>(work: () => Promise<T>, terms?: GateTerms): Promise<T>
  /** Whether `run` would let anybody in just now. Reserves nothing. */
  hasRoom(): boolean
  running(): number
  waiting(): number
}

/** More about one piece of work. */
export interface GateTerms {
  /** Runs once admitted, before the turn comes: a refused caller does not cause it, and nobody waits behind it. */
  readonly before?: (() => Promise<unknown>) | undefined
  /** Asked after `before`: a narrower gate to pass first, or null. Work that waits there takes no place in this one. */
  readonly narrower?: (() => Gate | null) | undefined
  /** Aborted when the caller no longer wants to wait. */
  readonly signal?: AbortSignal | undefined
}

interface Waiting {
  readonly since: number
  readonly enter: () => void
  readonly giveUp: (reason: GateFull | GateLeft) => void
}

/** The weight of the newest work in the moving average of how long work takes. */
const NEWEST_SHARE = 0.2

/** Makes a gate with the given limits. */
export function createGate(limits: GateLimits, clock: Clock): Gate {
  const queue: Waiting[] = []
  let running = 0
  let preparing = 0
  /** How long work has taken lately, in milliseconds. */
  let pace = 0
  const waiting = () => preparing + queue.length

  return {
    async run(work, { before, narrower, signal } = {}) {
      if (!hasRoom()) throw new GateFull()
      if (before) await prepare(before)
      const first = narrower?.()
      const inOurTurn = () => inTurn(work, signal)
      return await (first ? first.run(inOurTurn, { signal }) : inOurTurn())
    },
    hasRoom,
    running: () => running,
    waiting,
  }

  async function inTurn<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await turn(signal)
    const started = clock.elapsed()
    try {
      return await work()
    } finally {
      pace += (clock.elapsed() - started - pace) * NEWEST_SHARE
      leave()
    }
  }

  function hasRoom(): boolean {
    const free = limits.running - running
    if (waiting() < free) return true
    const { foreseen = Number.POSITIVE_INFINITY } = limits
    const wait = (waiting() / limits.running) * pace
    return waiting() - free < limits.waiting && wait <= foreseen
  }

  async function prepare(before: () => Promise<unknown>): Promise<void> {
    preparing += 1
    try {
      await before()
    } finally {
      preparing -= 1
    }
  }

  async function turn(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw new GateLeft()
    if (running < limits.running) {
      running += 1
      return
    }
    const { promise, resolve: enter, reject: giveUp } = Promise.withResolvers<void>()
    const place = { since: clock.elapsed(), enter, giveUp }
    queue.push(place)
    signal?.addEventListener('abort', () => leaveQueue(place))
    await promise
  }

  /** Has no effect on work that has begun. */
  function leaveQueue(place: Waiting): void {
    const index = queue.indexOf(place)
    if (index < 0) return
    queue.splice(index, 1)
    place.giveUp(new GateLeft())
  }

  /** The place is handed to the next in line, never freed in between: nobody can slip past the queue. */
  function leave(): void {
    const next = nextInTime()
    if (next) next.enter()
    else running -= 1
  }

  /** Refuses those who have waited longer than `patience`: work that comes too late would only delay the others. */
  function nextInTime(): Waiting | undefined {
    const inTime = queue.findIndex(({ since }) => clock.elapsed() - since <= limits.patience)
    const late = queue.splice(0, inTime < 0 ? queue.length : inTime)
    for (const { giveUp } of late) giveUp(new GateFull())
    return queue.shift()
  }
}
