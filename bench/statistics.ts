// What is made of repeated figures. Medians with the whole range: with five repeats a standard deviation would only
// look precise.

import { quantile } from '../e2e/quantile.ts'

/** The middle of some figures, and how far they lie apart. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** The 99th percentile of sorted figures; undefined for fewer than a hundred, of which it would be the largest. */
export function p99(sorted: readonly number[]): number | undefined {
  return sorted.length < 100 ? undefined : quantile(sorted, 0.99)
}

/** The slope of the straight line that fits three points or more best (least squares), and its standard error. */
export function slope(points: ReadonlyArray<readonly [x: number, y: number]>): {
  slope: number
  error: number
} {
  const sum = (of: (x: number, y: number) => number) =>
    points.reduce((total, [x, y]) => total + of(x, y), 0)
  const [x0, y0] = [sum((x) => x) / points.length, sum((_, y) => y) / points.length]
  const spreadOfX = sum((x) => (x - x0) ** 2)
  const best = sum((x, y) => (x - x0) * (y - y0)) / spreadOfX
  const apart = sum((x, y) => (y - y0 - best * (x - x0)) ** 2)
  return { slope: best, error: Math.sqrt(apart / (points.length - 2) / spreadOfX) }
}

/** The spread of the figures that are there, or undefined when none is. */
export function spread(figures: ReadonlyArray<number | undefined>): Spread | undefined {
  const sorted = figures.filter((figure) => figure !== undefined).toSorted((a, b) => a - b)
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined) return undefined
  const [left = low, right = low] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return { median: (left + right) / 2, low, high }
}

/**
 * The spread of `figures` in terms of `ceilings`, round by round: what slows a machine down for a while slows both,
 * so ratios within a round are steadier than the figures themselves.
 */
export function ratios(
  figures: ReadonlyArray<number | undefined>,
  ceilings: ReadonlyArray<number | undefined>,
): Spread | undefined {
  return spread(
    figures.map((figure, round) => {
      const ceiling = ceilings[round]
      return figure === undefined || !ceiling ? undefined : figure / ceiling
    }),
  )
}

/**
 * How well times tell two kinds apart: the share of pairs in which the first took longer (the area under the ROC curve; 0.5
 * means not at all), and the tenth percentile of each, which noise touches least.
 */
export function tellApart(
  known: readonly number[],
  unknown: readonly number[],
): { auc: number; known: number; unknown: number } {
  const sorted = unknown.toSorted((a, b) => a - b)
  const below = known.reduce((sum, ms) => sum + (rank(sorted, ms, 0) + rank(sorted, ms, 1)) / 2, 0)
  return {
    auc: below / (known.length * unknown.length),
    known: tenthPercentile(known),
    unknown: tenthPercentile(unknown),
  }
}

/**
 * How far the share of `tellApart` may be from 0.5 by chance, for so many times of each kind that are alike: three standard
 * deviations. Of five each it says that nothing can be told.
 */
export function mostByChance(each: number): number {
  return (3 * Math.sqrt((2 * each + 1) / 12)) / each
}

/** How many are smaller; with `ties` 1, also those that are equal. */
function rank(sorted: readonly number[], value: number, ties: 0 | 1): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const other = sorted[middle] ?? 0
    if (other < value || (ties === 1 && other === value)) low = middle + 1
    else high = middle
  }
  return low
}

function tenthPercentile(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 10)] ?? Number.NaN
}

/** The same in random order. */
export function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item)
}
