// Bounded concurrency with a bounded queue: a few at work, a few waiting, the rest refused at once.
// A server that queues without bound answers nobody in time; one that refuses early serves the others. Where there is no room, the
// caller with the most places in the queue yields one to a caller with fewer, so that nobody can take them all. (Suter et al., 1998,
// longest queue drop: as fair as a queue for each caller, and one caller alone may still have every place.)

import type { Clock } from './clock.ts'
import { StacklessError } from './stackless.ts'
import { createTally } from './tally.ts'

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
  /** The longest wait to be expected, at the pace of recent work; whoever would wait longer is refused at once, if two wait already. */
  readonly foreseen?: number
}

/** A gate that work passes in the order of its arrival. */
export interface Gate {
  /** Runs `work` when there is room. Throws `GateFull` when there are too many, `GateLeft` to a caller that leaves the queue. */
  run<T>(work: () => Promise<T>, terms?: GateTerms): Promise<T>
  /** Whether `run` would let this caller in just now. Reserves nothing. */
  hasRoom(caller?: string): boolean
  running(): number
  waiting(): number
}

/** More about one piece of work. */
export interface GateTerms {
  /** Whom the work is for. All that do not say are one. */
  readonly caller?: string | undefined
  /** Runs once admitted, before the turn comes: a refused caller does not cause it, and nobody waits behind it. */
  readonly before?: (() => Promise<unknown>) | undefined
  /** Asked after `before`: a narrower gate to pass first, or null. Work that waits there takes no place in this one. */
  readonly narrower?: (() => Gate | null) | undefined
  /** Aborted when the caller no longer wants to wait. */
  readonly signal?: AbortSignal | undefined
}

/** Work that was let in and has not begun: first it is prepared, then it is ready and waits for its turn. */
interface Place {
  readonly caller: string
  readonly turn: PromiseWithResolvers<void>
  readySince: number | null
}

/** The weight of the newest work in the moving average of how long work takes. */
const NEWEST_SHARE = 0.2

/** Makes a gate with the given limits. */
export function createGate(limits: GateLimits, clock: Clock): Gate {
  /** In the order of arrival. */
  const places: Place[] = []
  const held = createTally()
  let running = 0
  /** How long work has taken lately, in milliseconds. */
  let pace = 0

  return {
    async run(work, { caller = '', before, narrower, signal } = {}) {
      if (!hasPlace()) makePlace(caller)
      const place = take(caller)
      if (before) await prepare(place, before)
      const first = narrower?.()
      if (!first) return await inTurn(work, place, signal)
      // Refused meanwhile: then its turn says so.
      if (!remove(place)) await place.turn.promise
      return await first.run(() => inTurn(work, take(caller), signal), { caller, signal })
    },
    hasRoom: (caller = '') => hasPlace() || surplusFor(caller) !== undefined,
    running: () => running,
    waiting: () => places.length,
  }

  function hasPlace(): boolean {
    const inLine = places.length - (limits.running - running)
    if (inLine < 0) return true
    const { waiting, patience, foreseen = Number.POSITIVE_INFINITY } = limits
    const wait = (places.length / limits.running) * pace
    // However slow the work is, two may wait: nobody yields the only place, so whoever asks most often would have it each time.
    return inLine < waiting && wait <= Math.max(foreseen, inLine < 2 ? patience : 0)
  }

  /** Throws `GateFull` when nobody has a place too many. */
  function makePlace(caller: string): void {
    const surplus = surplusFor(caller)
    if (!surplus) throw new GateFull()
    refuse(surplus, new GateFull())
  }

  /** The newest place of whoever has the most, if that is more than `caller` would then have. */
  function surplusFor(caller: string): Place | undefined {
    const most = held.most()
    if (most === undefined || held.of(most) <= held.of(caller) + 1) return undefined
    return places.findLast((place) => place.caller === most)
  }

  function take(caller: string): Place {
    const place = { caller, turn: Promise.withResolvers<void>(), readySince: null }
    // A place may be refused while it is being prepared, when nobody looks at its turn yet.
    place.turn.promise.catch(() => {})
    places.push(place)
    held.add(caller)
    return place
  }

  async function prepare(place: Place, before: () => Promise<unknown>): Promise<void> {
    try {
      await before()
    } catch (error) {
      remove(place)
      throw error
    }
  }

  async function inTurn<T>(
    work: () => Promise<T>,
    place: Place,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    await turnOf(place, signal)
    const started = clock.elapsed()
    try {
      return await work()
    } finally {
      pace += (clock.elapsed() - started - pace) * NEWEST_SHARE
      leave()
    }
  }

  async function turnOf(place: Place, signal: AbortSignal | undefined): Promise<void> {
    const giveUp = () => refuse(place, new GateLeft())
    if (signal?.aborted) giveUp()
    if (running < limits.running && remove(place)) {
      running += 1
      return
    }
    place.readySince = clock.elapsed()
    signal?.addEventListener('abort', giveUp)
    await place.turn.promise
  }

  /** Has no effect on work that has begun. */
  function refuse(place: Place, reason: GateFull | GateLeft): void {
    if (remove(place)) place.turn.reject(reason)
  }

  /** False for work that has begun or was refused: it has no place any more. */
  function remove(place: Place): boolean {
    const index = places.indexOf(place)
    if (index < 0) return false
    places.splice(index, 1)
    held.remove(place.caller)
    return true
  }

  /** The turn is handed to the next in line, never freed in between: nobody can slip past the queue. */
  function leave(): void {
    const next = nextInTime()
    if (next) next.turn.resolve()
    else running -= 1
  }

  /** Refuses those who have waited longer than `patience`: work that comes too late would only delay the others. */
  function nextInTime(): Place | undefined {
    for (const place of places.filter(({ readySince }) => readySince !== null)) {
      remove(place)
      if (clock.elapsed() - (place.readySince ?? 0) <= limits.patience) return place
      place.turn.reject(new GateFull())
    }
    return undefined
  }
}
