// Curves as SVG: a panel for each kind of request, both axes logarithmic. Samples are faint dots; the lines, made of all
// samples, are the median and, dashed, the 99th percentile.

import { quantile } from '../e2e/quantile.ts'
import type { Curve, Point } from './curve.ts'
import { p99 } from './statistics.ts'

/** One panel. */
export interface Panel {
  readonly title: string
  readonly curves: readonly Curve[]
}

const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [860, 360, 64, 44, 16, 48]
/** Readable with every kind of colour vision (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7']
/** Dots a point at most, evenly taken: a file of megabytes shows no more. */
const DOTS = 150

/** Draws panels below each other. */
export function plot(panels: readonly Panel[]): string {
  const height = HEIGHT * panels.length
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...panels.flatMap((panel, i) => [
      `<g transform="translate(0 ${i * HEIGHT})">`,
      ...draw(panel),
      '</g>',
    ]),
    '</svg>',
  ].join('\n')}\n`
}

function draw({ title, curves }: Panel): string[] {
  const points = curves.flatMap((curve) => curve.points)
  const times = points.flatMap((point) => point.times)
  if (times.length === 0) return []
  const x = scale(
    points.map(({ offered }) => offered),
    LEFT,
    WIDTH - RIGHT,
  )
  const y = scale([extreme(times, Math.min), extreme(times, Math.max)], HEIGHT - BOTTOM, TOP)
  return [
    `<text x="${LEFT}" y="20" font-size="14" font-weight="bold">${title}</text>`,
    ...axes(x, y),
    ...curves.flatMap((curve, i) => drawCurve(curve, COLOURS[i % COLOURS.length] ?? '#000', x, y)),
    ...curves.map(
      ({ name }, i) =>
        `<text x="${LEFT + 8 + i * 150}" y="38" fill="${COLOURS[i % COLOURS.length]}">● ${name}</text>`,
    ),
  ]
}

interface Scale {
  readonly at: (value: number) => number
  readonly ticks: readonly number[]
}

/** Whole decades around the values, and 1, 2, 5 in each that lie within. */
function scale(values: readonly number[], from: number, to: number): Scale {
  const low = Math.log10(extreme(values, Math.min)) - 0.08
  const high = Math.log10(extreme(values, Math.max)) + 0.08
  const at = (value: number) =>
    round(from + ((Math.log10(value) - low) / (high - low)) * (to - from))
  const ticks = Array.from({ length: 9 }, (_, i) => 10 ** (i - 2))
    .flatMap((decade) => [1, 2, 5].map((digit) => digit * decade))
    .filter((tick) => Math.log10(tick) >= low && Math.log10(tick) <= high)
  return { at, ticks }
}

function axes(x: Scale, y: Scale): string[] {
  const [bottom, right] = [HEIGHT - BOTTOM, WIDTH - RIGHT]
  const label = (value: number) => String(Number(value.toPrecision(2)))
  return [
    ...x.ticks.map(
      (tick) =>
        `<path d="M${x.at(tick)} ${TOP}V${bottom}" stroke="#e4e4e4"/><text x="${x.at(tick)}" y="${bottom + 16}" text-anchor="middle" fill="#444">${label(tick)}</text>`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<path d="M${LEFT} ${y.at(tick)}H${right}" stroke="#e4e4e4"/><text x="${LEFT - 6}" y="${y.at(tick) + 4}" text-anchor="end" fill="#444">${label(tick)}</text>`,
    ),
    `<text x="${(LEFT + right) / 2}" y="${bottom + 36}" text-anchor="middle">requests offered a second</text>`,
    `<text transform="translate(16 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">ms from when it was due</text>`,
  ]
}

function drawCurve({ points }: Curve, colour: string, x: Scale, y: Scale): string[] {
  const line = (share: 0.5 | 0.99, dashes: string) => {
    const path = points.flatMap((point) => {
      const value = percentile(point, share)
      return value === undefined ? [] : [`${x.at(point.offered)} ${y.at(value)}`]
    })
    if (path.length === 0) return ''
    return `<path d="M${path.join('L')}" fill="none" stroke="${colour}" stroke-width="2"${dashes}/>`
  }
  const dots = points.flatMap(({ offered, times }) =>
    thinned(times).map((time) => `M${x.at(offered)} ${y.at(time)}h0`),
  )
  return [
    `<path d="${dots.join('')}" stroke="${colour}" stroke-width="3" stroke-linecap="round" opacity="0.15"/>`,
    line(0.5, ''),
    line(0.99, ' stroke-dasharray="5 4"'),
  ]
}

/** The median or the 99th percentile of the answers of one rate. */
export function percentile({ times }: Point, share: 0.5 | 0.99): number | undefined {
  const sorted = times.toSorted((a, b) => a - b)
  return share === 0.99 ? p99(sorted) : quantile(sorted, share)
}

function thinned(times: readonly number[]): number[] {
  const step = Math.max(1, times.length / DOTS)
  const kept = Array.from(
    { length: Math.ceil(times.length / step) },
    (_, i) => times[Math.floor(i * step)],
  )
  return kept.filter((time) => time !== undefined)
}

/** Without spreading: there may be more samples than a call takes arguments. */
function extreme(values: readonly number[], pick: (a: number, b: number) => number): number {
  return Math.max(
    0.01,
    values.reduce((a, b) => pick(a, b)),
  )
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
