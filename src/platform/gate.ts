// Bounded concurrency with a bounded queue: a few at work, a few waiting, the rest refused at once.
// A server that queues without bound answers nobody in time; one that refuses early serves the others.

/** What a gate throws instead of queueing without bound. */
export class GateFull extends Error {
  override readonly name = 'GateFull'
}

/** How many run at once and how many may wait behind them. */
export interface GateLimits {
  readonly running: number
  readonly waiting: number
}

/** A gate that work passes in the order of its arrival. */
export interface Gate {
  /** Runs `work` when there is room. Throws `GateFull` at once when the queue is full. */
  run<T>(work: () => Promise<T>): Promise<T>
  running(): number
  waiting(): number
}

/** Makes a gate with the given limits. */
export function createGate(limits: GateLimits): Gate {
  const queue: Array<() => void> = []
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
    return new Promise((resolve) => queue.push(resolve))
  }

  /** The place is handed to the next in line, never freed in between: nobody can slip past the queue. */
  function leave(): void {
    const next = queue.shift()
    if (next) next()
    else running -= 1
  }
}
