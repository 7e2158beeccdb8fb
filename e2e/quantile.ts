// The figure that sums up many times: most of them were below it.

/** The value below which a share of sorted figures lies (nearest rank). Undefined when there is none. */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}
