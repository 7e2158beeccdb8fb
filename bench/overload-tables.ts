// The tables of what happens under overload: the flood, and the plot in figures.

import type { Curve } from './curve.ts'
import type { Figures } from './figures.ts'
import { number } from './format.ts'
import { percentile } from './plot.ts'
import type { Table } from './table.ts'

/** Each server under the same flood. */
export function floods({ floods: all }: Figures): Table {
  return {
    title: 'The flood: 200 logins in flight for 20 s, 20 reads a second beside them',
    head: [
      ...['server', 'accepted (rate × unloaded)', 'accepted p99 ms', 'refused (p99 ms)'],
      ...['unanswered', 'read p50 / p99 ms', 'read errors', 'peak RSS MiB'],
    ],
    rows: all.map((f) => [
      f.name,
      `${f.accepted} (${number(f.ofUnloaded)})`,
      number(f.acceptedP99),
      f.refused === 0 ? 'none' : `${f.refused} (${number(f.refusedP99)})`,
      String(f.failed),
      `${number(f.readP50)} / ${number(f.readP99)}`,
      `${f.readErrors} of ${f.reads + f.readErrors}`,
      number(f.memory),
    ]),
  }
}

/** The plot in figures. */
export function curves({ reads, logins }: Figures): Table[] {
  const table = (title: string, all: readonly Curve[]): Table => ({
    title,
    head: ['server', 'offered a second', 'p50 ms', 'p99 ms', 'answered', 'refused', 'failed'],
    rows: all.flatMap(({ name, points }) =>
      points.map((point) => [
        ...[name, String(point.offered)],
        ...([0.5, 0.99] as const).map((share) => number(percentile(point, share))),
        ...[point.times.length, point.refused, point.failed].map(String),
      ]),
    ),
  })
  return [
    table('Latency against offered load: authenticated read', reads),
    table('Latency against offered load: login', logins),
  ]
}
