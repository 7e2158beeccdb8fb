// All figures of a run, and what is made of two rows of them.

import type { Curve } from './curve.ts'
import type { Flood } from './flood.ts'
import type { Burst } from './load.ts'
import type { Start } from './startup.ts'
import type { Spread } from './statistics.ts'
import { ratios, spread } from './statistics.ts'

/** Rows by name, each in the order of the rounds. */
export interface Figures {
  readonly bursts: Readonly<Record<string, readonly Burst[]>>
  readonly starts: Readonly<Record<string, readonly Start[]>>
  readonly floods: readonly Flood[]
  readonly reads: readonly Curve[]
  readonly logins: readonly Curve[]
  /** Other servers, by name: version and what they do. */
  readonly peers: ReadonlyArray<readonly [name: string, about: string]>
  /** Bursts with a wrong answer: measured again, and left out after the third. */
  readonly repeated: readonly string[]
  /** What is missing, and why. */
  readonly skipped: readonly string[]
}

/** One row; without figures when it was not measured. */
export function rowOf({ bursts }: Figures, name: string): readonly Burst[] {
  return bursts[name] ?? []
}

/** What a row costs in terms of another. */
export function costRatio(figures: Figures, name: string, ceiling: string): Spread | undefined {
  return ratios(rowOf(figures, name).map(cost), rowOf(figures, ceiling).map(cost))
}

/** How many a second in terms of another row. */
export function rateRatio(figures: Figures, name: string, ceiling: string): Spread | undefined {
  const rate = (row: string) => rowOf(figures, row).map(({ perSecond }) => perSecond)
  return ratios(rate(name), rate(ceiling))
}

/** CPU ms of a row above those of another, round by round. */
export function onTop(figures: Figures, name: string, ceiling: string): Spread | undefined {
  const below = rowOf(figures, ceiling)
  return spread(
    rowOf(figures, name).map(({ cpu }, round) => {
      const base = below[round]?.cpu
      return cpu === undefined || base === undefined ? undefined : cpu - base
    }),
  )
}

/** What a ratio is made of: CPU, or where it cannot be read the time that each answer takes the server. */
function cost({ cpu, perSecond }: Burst): number | undefined {
  return cpu ?? (perSecond ? 1_000 / perSecond : undefined)
}
