// From figures to a report, once for the terminal and once for Markdown.

import { HAS_PROC } from '../e2e/memory.ts'
import type { Figures } from './figures.ts'
import { isNoisy, percent } from './format.ts'
import { spread } from './statistics.ts'
import type { Table } from './table.ts'
import { aligned } from './table.ts'
import { tables } from './tables.ts'
import { targets } from './targets.ts'

/** Where, when, with what. */
export type Facts = ReadonlyArray<readonly [name: string, value: string]>

/** For people at a terminal. */
export function toText(facts: Facts, figures: Figures): string {
  return [
    ...facts.map(([name, value]) => `${name.padEnd(10)} ${value}`),
    ...all(figures).flatMap((table) => ['', table.title, ...aligned(table)]),
    '',
    ...notes(figures),
  ]
    .join('\n')
    .replaceAll('`', '')
}

/** For a file. `plot`: the path of the SVG from there. */
export function toMarkdown(facts: Facts, figures: Figures, plot: string | undefined): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return `${[
    '# Benchmark',
    '',
    ...['Made by `npm run bench`; [README.md](README.md) says how to read it.', ''],
    row(['', '']),
    row(['---', '---']),
    ...facts.map(row),
    ...all(figures).flatMap(({ title, head, rows }) => [
      ...['', `## ${title}`, ''],
      ...[row(head), row(head.map(() => '---')), ...rows.map(row)],
    ]),
    ...(plot ? ['', `![Latency against offered load](${plot})`] : []),
    ...['', '## Notes', ''],
    ...notes(figures).map((note) => `- ${note}`),
  ].join('\n')}\n`
}

function all(figures: Figures): Table[] {
  return [targets(figures), ...tables(figures)]
}

function notes({ bursts, starts, peers, repeated, skipped }: Figures): string[] {
  const rows = [...Object.values(bursts), ...Object.values(starts)]
  const noise = spread(rows.flat().map((one) => one.noise))
  return [
    'Median (lowest–highest) of the rounds. Ratios are taken within each round, against the ceiling of that round. Flood and curves: one run.',
    HAS_PROC
      ? 'CPU: utime and stime of the server, all its threads, divided by its right answers.'
      : 'CPU time and memory of other processes are read from /proc, which only Linux has: × is by throughput here.',
    noise
      ? `Noise: time of all cores that neither the server nor its load used; median ${percent(noise.median)}, worst ${percent(noise.high)}.`
      : 'Noise was not measured.',
    ...(rows.some(isNoisy)
      ? [
          'Rows marked !: other programs were at work. Run them again on a quiet machine before believing any difference in them.',
        ]
      : []),
    ...peers.map(([name, about]) => `${name} ${about}.`),
    ...repeated.map(
      (what) => `Spoiled by a wrong answer, and measured again or left out: ${what}.`,
    ),
    ...skipped.map((what) => `Not measured: ${what}.`),
  ]
}
