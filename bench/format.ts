// How figures are written: medians with ranges, three digits, and a mark where other programs disturbed them.

import type { Burst } from './load.ts'
import type { Spread } from './statistics.ts'
import { spread } from './statistics.ts'

/** Whatever others may have disturbed. */
export type Disturbed = Pick<Burst, 'noise'>

/** From here on a figure is marked: its row was disturbed. */
const NOISY = 0.1

/** Median (lowest–highest). */
export function show(values: Spread | undefined): string {
  if (!values) return '–'
  const { median, low, high } = values
  return low === high ? number(median) : `${number(median)} (${number(low)}–${number(high)})`
}

/** Three digits: more would be noise. */
export function number(value: number | undefined): string {
  if (value === undefined) return '–'
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  return value.toLocaleString('en', options).replace('-', '−')
}

/** A share of one. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** Medians of both latencies. */
export function latency(bursts: readonly Burst[]): string {
  const [p50, p99] = [spread(bursts.map((b) => b.p50)), spread(bursts.map((b) => b.p99))]
  return p50 ? `${number(p50.median)} / ${number(p99?.median)}` : '–'
}

/** The noise of a row, marked where it is too much. */
export function noiseOf(bursts: readonly Disturbed[]): string {
  const noise = spread(bursts.map((burst) => burst.noise))
  if (!noise) return '–'
  return `${percent(noise.median)} (${percent(noise.low)}–${percent(noise.high)})${isNoisy(bursts) ? ' !' : ''}`
}

/** Whether a row was disturbed in the middle of its repeats. */
export function isNoisy(bursts: readonly Disturbed[]): boolean {
  return (spread(bursts.map(({ noise }) => noise))?.median ?? 0) >= NOISY
}
