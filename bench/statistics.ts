// What is made of repeated figures. Medians with the whole range: with five repeats a standard deviation would only
// look precise.

/** The middle of some figures, and how far they lie apart. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** The value below which a share of sorted figures lies (nearest rank). Undefined when there is none. */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

/** The slope of the straight line that fits best (least squares). */
export function slope(points: ReadonlyArray<readonly [x: number, y: number]>): number {
  const mean = (pick: 0 | 1) => points.reduce((sum, point) => sum + point[pick], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const covariance = points.reduce((sum, [px, py]) => sum + (px - x) * (py - y), 0)
  return covariance / points.reduce((sum, [px]) => sum + (px - x) ** 2, 0)
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
