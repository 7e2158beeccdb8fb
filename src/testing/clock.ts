// A clock that stands still until it is told to move.

import type { Clock } from '../platform/clock.ts'

/** A clock whose two times move together, and are a year apart: who takes one for the other is found out. */
export interface TestClock extends Clock {
  /** Moves on by `90s`, `0.5s`, `16m`, `2h` or `30d`. */
  advance(duration: `${number}${'s' | 'm' | 'h' | 'd'}`): void
}

/** Starts at 2026-01-01T00:00:00Z. */
export function createTestClock(): TestClock {
  const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  const start = Date.UTC(2025, 0, 1)
  let now = Date.UTC(2026, 0, 1)
  return {
    now: () => now,
    elapsed: () => now - start,
    advance(duration) {
      const unit = duration.at(-1) as keyof typeof units
      now += Number.parseFloat(duration) * units[unit]
    },
  }
}
