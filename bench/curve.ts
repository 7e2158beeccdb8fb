// Latency against offered load, open loop: requests come when they are due, as from visitors who know nothing of each
// other, and each is timed from that moment. Every single time is kept.

import { quantile } from '../e2e/quantile.ts'
import type { Load } from './drive.ts'
import { runClient } from './drive.ts'
import { untilQuiet } from './stage.ts'

/** One rate. Times in ms. */
export interface Point {
  readonly offered: number
  /** Of requests that gave what was asked for, in the order of answers. */
  readonly times: readonly number[]
  readonly refused: number
  readonly failed: number
}

/** The points of one server, the lowest rate first. */
export interface Curve {
  readonly name: string
  readonly points: readonly Point[]
}

/** Requests a second. The last are more than one core of any server here can do. */
export const READ_RATES = [50, 100, 200, 400, 800, 1_600, 3_200] as const
export const LOGIN_RATES = [2, 4, 8, 12, 16, 24, 32, 48] as const
/** Half of all waiting so long is a queue that only grows: higher rates would show the length of the measurement. */
const HOPELESS_MS = 1_000

/** Measures one server at rising rates, until half of the requests are hopelessly late or refused. */
export async function measureCurve(
  name: string,
  load: Load,
  { rates, seconds }: { rates: readonly number[]; seconds: number },
): Promise<Curve> {
  const points: Point[] = []
  for (const rate of rates) {
    const task = { kind: 'open', file: load.file, seconds, rate } as const
    const { good, refused, failed } = (await runClient(load, task)).outcome
    await untilQuiet(load.server.pids)
    load.server.emptyLog()
    points.push({ offered: rate, times: good, refused: refused.length, failed: failed.length })
    const sorted = good.toSorted((a, b) => a - b)
    const median = quantile(sorted, 0.5) ?? Infinity
    if (median > HOPELESS_MS || refused.length > good.length) break
  }
  return { name, points }
}
