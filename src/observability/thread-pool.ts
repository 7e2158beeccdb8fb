// How long work waits for the runtime's pool of threads. Hashes, file reads and asynchronous cryptography share it; when it
// is full they stall for seconds while the event loop looks healthy. A tiny task each second tells.

import { stat } from 'node:fs/promises'
import type { Clock } from '../platform/clock.ts'
import type { Loop } from '../platform/loop.ts'
import { createLoop } from '../platform/loop.ts'
import type { Random } from '../platform/random.ts'

/** What the probe is made from. */
export interface ThreadPoolProbeOptions {
  readonly clock: Clock
  readonly random: Random
  readonly metrics: { observeThreadPoolDelay(seconds: number): void }
}

const INTERVAL_MS = 1_000

/** A loop that times a task of the pool about every second. */
export function createThreadPoolProbe({ clock, random, metrics }: ThreadPoolProbeOptions): Loop {
  return createLoop(INTERVAL_MS, random, async () => {
    const started = clock.elapsed()
    // The result does not matter; the root always exists. A small digest would be computed on the event loop.
    await stat('/').catch(() => {})
    metrics.observeThreadPoolDelay((clock.elapsed() - started) / 1_000)
  })
}
