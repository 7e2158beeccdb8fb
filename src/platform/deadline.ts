// A deadline that many share. Setting and clearing a timer for each request costs more than everything else that watches
// over it; here one timer serves them all, and runs only while somebody waits.

import type { Clock } from './clock.ts'

/** Bounds how long a caller waits for work; the work itself goes on. */
export interface Deadline {
  /** The outcome of `work`, or what `late` returns when that takes too long. */
  within<T>(work: Promise<T>, late: () => T): Promise<T>
}

/** How often the timer looks within the time that somebody may wait. */
const LOOKS = 8

/** Makes a deadline of `ms` milliseconds: after that, or up to an eighth earlier, nobody waits any more. */
export function createDeadline(ms: number, clock: Clock): Deadline {
  // In the order of arrival, in which they also become late.
  const waiting = new Set<Waiting>()
  let timer: Timer | undefined

  return {
    within<T>(work: Promise<T>, late: () => T): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        const one: Waiting = { since: clock.elapsed(), giveUp: () => resolve(late()) }
        waiting.add(one)
        timer ??= setInterval(lookAround, ms / LOOKS)
        // The timer alone must not keep a process alive.
        timer.unref()
        work.then(
          (value) => {
            waiting.delete(one)
            resolve(value)
          },
          (error) => {
            waiting.delete(one)
            reject(error)
          },
        )
      })
    },
  }

  function lookAround(): void {
    // By the clock, not by counting looks: an event loop that is held up looks less often.
    const longest = clock.elapsed() - ms * (1 - 1 / LOOKS)
    for (const one of waiting) {
      if (one.since > longest) break
      waiting.delete(one)
      one.giveUp()
    }
    if (waiting.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

interface Waiting {
  readonly since: number
  readonly giveUp: () => void
}
