// Load for drills: requests at a fixed rate whatever becomes of them (as strangers send them), or one after the other, and
// what came of each.

import { quantile as quantileOf } from './quantile.ts'

/** What came of one request. */
export interface Outcome {
  /** A code, or what the sender calls it. */
  readonly what: string
  readonly ms: number
}

/** Sends one request and says what came of it. */
export type Send = () => Promise<string>

/** More requests at once than any server keeps open; beyond them, what should be sent is left out. */
const MOST_OPEN = 4_000
const TICK_MS = 10

/** Sends `rate` requests a second for some seconds, whether or not the earlier ones have been answered. */
export async function openLoop(
  send: Send,
  { rate, seconds }: { rate: number; seconds: number },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const open = new Set<Promise<void>>()
  const started = performance.now()
  for (let sent = 0; sent < rate * seconds; ) {
    const due = Math.min(rate * seconds, ((performance.now() - started) / 1_000) * rate)
    for (; sent < due; sent += 1) {
      if (open.size >= MOST_OPEN) continue
      const one: Promise<void> = timed(send).then((outcome) => {
        outcomes.push(outcome)
        open.delete(one)
      })
      open.add(one)
    }
    await Bun.sleep(TICK_MS)
  }
  await Promise.all(open)
  return outcomes
}

/** Sends one request after the other on each of some connections, until the time is up. */
export async function closedLoop(
  send: Send,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const end = performance.now() + seconds * 1_000
  const one = async () => {
    while (performance.now() < end) outcomes.push(await timed(send))
  }
  await Promise.all(Array.from({ length: connections }, one))
  return outcomes
}

/** Sends one request, and never throws. */
export async function timed(send: Send): Promise<Outcome> {
  const started = performance.now()
  const what = await send().catch(() => 'no answer')
  return { what, ms: performance.now() - started }
}

/** The time below which this share of the requests was answered, in ms; NaN if there were none. */
export function quantile(outcomes: readonly Outcome[], share: number): number {
  const times = outcomes.map(({ ms }) => ms).toSorted((a, b) => a - b)
  return quantileOf(times, share) ?? Number.NaN
}

/** Those that ended in one way. */
export function ended(outcomes: readonly Outcome[], what: string): Outcome[] {
  return outcomes.filter((outcome) => outcome.what === what)
}
