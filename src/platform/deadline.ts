// A deadline that many share. Setting and clearing a timer for each request costs more than all else that watches over
// it; here one timer looks after all of them, and only while somebody waits.

import type { Clock } from './clock.ts'

/** Bounds how long is waited for work, not the work. */
export interface Deadline {
  /** What `work` comes to, or what `late` returns when that takes too long. */
  within<T>(work: Promise<T>, late: () => T): Promise<T>
}

/** So many looks in the time that somebody may wait. */
const LOOKS = 8

/** Makes a deadline of `ms` milliseconds: after that, or up to an eighth earlier, nobody waits any more. */
export function createDeadline(ms: number, clock: Clock): Deadline {
  // In the order in which they came, which is the order in which they will be late.
  const waiting = new Set<Waiting>()
  let timer: Timer | undefined

  return {
    within<T>(work: Promise<T>, late: () => T): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        const one: Waiting = { since: clock.elapsed(), giveUp: () => resolve(late()) }
        waiting.add(one)
        timer ??= setInterval(lookAround, ms / LOOKS)
        // What is done must not keep a process alive.
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
    // By the clock, not by how often it was looked: a loop that is held up looks less often.
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
