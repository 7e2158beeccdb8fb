// A beat that many wait for together. It beats only while somebody waits.

/** What is waited for. */
export interface Beat {
  /** Resolves at the next beat, for all who wait for it at the same time. */
  next(): Promise<void>
}

/** Makes a beat. The first to wait does so for `ms` milliseconds; whoever joins waits less. */
export function createBeat(ms: number): Beat {
  let coming: Promise<void> | undefined
  return {
    next() {
      coming ??= new Promise((resolve) => {
        setTimeout(() => {
          coming = undefined
          resolve()
        }, ms)
      })
      return coming
    },
  }
}
