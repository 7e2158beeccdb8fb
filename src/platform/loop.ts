// Repeated background work: the next round is scheduled when the last one has ended, so that slow work never overlaps
// itself, and the pauses are uneven, so that replicas do not work in step.

import type { Random } from './random.ts'

/** Work that goes on until it is stopped. */
export interface Loop {
  start(): void
  stop(): void
}

/** Repeats `work` about every `milliseconds`. It should not throw; if it does, it is repeated all the same. */
export function createLoop(
  milliseconds: number,
  random: Random,
  work: () => Promise<unknown>,
): Loop {
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  return {
    start: schedule,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }

  function schedule(): void {
    if (stopped) return
    const pause = milliseconds * (0.8 + 0.4 * random.fraction())
    timer = setTimeout(() => void work().finally(schedule), pause)
  }
}
