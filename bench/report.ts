// From figures to tables, once for the terminal and once for Markdown.

import type { Burst } from './load.ts'
import { HAS_PROC } from './machine.ts'
import type { Start, StartName } from './startup.ts'
import type { Spread } from './statistics.ts'
import { ratios, spread } from './statistics.ts'
import type { SubjectName } from './subjects.ts'

/** All figures of a run, in the order of the rounds. */
export interface Figures {
  readonly bursts: Readonly<Record<SubjectName, readonly Burst[]>>
  readonly starts: Readonly<Record<StartName, readonly Start[]>>
}

/** Where, when, with what. */
export type Facts = ReadonlyArray<readonly [name: string, value: string]>

interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: ReadonlyArray<readonly string[]>
}

type Disturbed = Pick<Burst | Start, 'noise'>

const NAMES: Record<SubjectName | StartName, string> = {
  bareEcho: 'ceiling: Hono echo, bare',
  dressedEcho: 'ceiling: Hono echo, dressed',
  me: '`me { id email }`',
  jwks: '`GET /.well-known/jwks.json`',
  hash: 'ceiling: bare argon2id',
  login: '`login`',
  signup: '`signup`',
  bareStart: 'ceiling: Bun with Hono',
  warmStart: 'serve, existing database',
  coldStart: 'serve, no database yet',
}

/** From here on a figure is marked: its row was disturbed. */
const NOISY = 0.1

/** For people at a terminal. */
export function toText(facts: Facts, figures: Figures): string {
  return [
    ...facts.map(([name, value]) => `${name.padEnd(10)} ${value}`),
    ...tables(figures).flatMap((table) => ['', table.title, ...aligned(table)]),
    '',
    ...notes(figures),
  ]
    .join('\n')
    .replaceAll('`', '')
}

/** For a file. */
export function toMarkdown(facts: Facts, figures: Figures): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return `${[
    '# Benchmark',
    '',
    row(['', '']),
    row(['---', '---']),
    ...facts.map(row),
    ...tables(figures).flatMap(({ title, head, rows }) => [
      ...['', `## ${title}`, ''],
      ...[row(head), row(head.map(() => '---')), ...rows.map(row)],
    ]),
    '',
    ...notes(figures).map((note) => `- ${note}`),
  ].join('\n')}\n`
}

function tables(figures: Figures): Table[] {
  return [light(figures), heavy(figures), starts(figures), targets(figures)]
}

function light({ bursts }: Figures): Table {
  const over = (name: SubjectName, ceiling: SubjectName) =>
    times(ratios(bursts[name].map(cost), bursts[ceiling].map(cost)))
  return {
    title: 'Light requests',
    head: [
      'request',
      'CPU µs',
      'per second',
      'p50 / p99 ms',
      '× bare echo',
      '× dressed echo',
      'noise',
    ],
    rows: (['bareEcho', 'dressedEcho', 'me', 'jwks'] as const).map((name) => [
      NAMES[name],
      show(spread(bursts[name].map(({ cpu }) => cpu && cpu * 1_000))),
      show(spread(bursts[name].map(({ perSecond }) => perSecond))),
      latency(bursts[name]),
      over(name, 'bareEcho'),
      over(name, 'dressedEcho'),
      noiseOf(bursts[name]),
    ]),
  }
}

function heavy({ bursts }: Figures): Table {
  return {
    title: 'Passwords',
    head: [
      'request',
      'CPU ms',
      'per second',
      'p50 / p99 ms',
      '× bare hash',
      'CPU ms on top',
      'noise',
    ],
    rows: (['hash', 'login', 'signup'] as const).map((name) => [
      NAMES[name],
      show(spread(bursts[name].map(({ cpu }) => cpu))),
      show(spread(bursts[name].map(({ perSecond }) => perSecond))),
      latency(bursts[name]),
      times(ratios(bursts[name].map(cost), bursts.hash.map(cost))),
      name === 'hash' ? '–' : show(onTop(bursts, name)),
      noiseOf(bursts[name]),
    ]),
  }
}

function starts({ starts: all }: Figures): Table {
  return {
    title: 'Starts, and memory at rest',
    head: ['start', 'ms to the first answer', 'CPU ms', 'RSS MiB after 1 s', 'noise'],
    rows: (['bareStart', 'warmStart', 'coldStart'] as const).map((name) => [
      NAMES[name],
      show(spread(all[name].map(ms))),
      show(spread(all[name].map(({ cpu }) => cpu))),
      show(spread(all[name].map(({ memory }) => memory))),
      noiseOf(all[name]),
    ]),
  }
}

/** What the project wants of itself. Ratios hold on any machine; times and memory are for a small server. */
function targets({ bursts, starts: all }: Figures): Table {
  const rate = (name: SubjectName) => bursts[name].map(({ perSecond }) => perSecond)
  const tail = bursts.login.map(({ p50, p99 }) => p50 && p99 && p99 / p50)
  const [me, login] = [isNoisy(bursts.me), isNoisy(bursts.login) || isNoisy(bursts.hash)]
  const meInEchoes = ratios(bursts.me.map(cost), bursts.bareEcho.map(cost))
  return {
    title: 'Targets',
    head: ['target', 'wanted', 'measured', ''],
    rows: [
      target('CPU of `me` / of a bare echo', { most: 3 }, meInEchoes, me),
      target(
        '`login` per second / bare hashes per second',
        { least: 0.85 },
        ratios(rate('login'), rate('hash')),
        login,
      ),
      target('CPU ms of `login` on top of a hash', { most: 4 }, onTop(bursts, 'login'), login),
      target('p99 of `login` / its p50', { most: 2 }, spread(tail), login),
      start('ms to start, existing database', all.warmStart),
      start('ms to start, no database yet', all.coldStart),
      target('RSS at rest, MiB', { most: 100 }, spread(all.warmStart.map(({ memory }) => memory))),
    ],
  }
}

function start(name: string, all: readonly Start[]): string[] {
  return target(name, { most: 600 }, spread(all.map(ms)), isNoisy(all))
}

function target(
  name: string,
  { most, least }: { most?: number; least?: number },
  measured: Spread | undefined,
  noisy = false,
): string[] {
  const wanted = most === undefined ? `≥ ${least}` : `≤ ${most}`
  if (!measured) return [name, wanted, '–', 'not measured']
  const met = measured.median <= (most ?? Infinity) && measured.median >= (least ?? -Infinity)
  return [name, wanted, show(measured), `${met ? 'met' : 'MISSED'}${noisy ? ' !' : ''}`]
}

function ms({ ms }: Start): number {
  return ms
}

function notes({ bursts, starts }: Figures): string[] {
  const all = [...Object.values(bursts), ...Object.values(starts)]
  const noise = spread(all.flatMap((list: readonly Disturbed[]) => list.map(({ noise }) => noise)))
  return [
    'Median (lowest–highest) of the rounds. Ratios are taken within each round, against the ceiling of that round.',
    HAS_PROC
      ? 'CPU: utime and stime of the server, all its threads, divided by its right answers.'
      : 'CPU time and memory of other processes are read from /proc, which only Linux has: × is by throughput here.',
    noise
      ? `Noise: time of all cores that neither the server nor its load used; median ${percent(noise.median)}, worst ${percent(noise.high)}.`
      : 'Noise was not measured.',
    ...(noise && noise.high >= NOISY
      ? [
          'NOISY: other programs were at work (most in rows marked !). Run it again on a quiet machine before believing any difference.',
        ]
      : []),
  ]
}

/** What a ratio is made of: CPU, or where it cannot be read the time that each answer takes the server. */
function cost({ cpu, perSecond }: Burst): number | undefined {
  return cpu ?? (perSecond > 0 ? 1_000 / perSecond : undefined)
}

function onTop(bursts: Figures['bursts'], name: SubjectName): Spread | undefined {
  return spread(
    bursts[name].map((burst, round) => {
      const hash = bursts.hash[round]
      return burst.cpu === undefined || hash?.cpu === undefined ? undefined : burst.cpu - hash.cpu
    }),
  )
}

function latency(bursts: readonly Burst[]): string {
  const [p50, p99] = [spread(bursts.map((b) => b.p50)), spread(bursts.map((b) => b.p99))]
  return p50 && p99 ? `${number(p50.median)} / ${number(p99.median)}` : '–'
}

function noiseOf(bursts: readonly Disturbed[]): string {
  const noise = spread(bursts.map((burst) => burst.noise))
  if (!noise) return '–'
  return `${percent(noise.median)} (${percent(noise.low)}–${percent(noise.high)})${isNoisy(bursts) ? ' !' : ''}`
}

function isNoisy(bursts: readonly Disturbed[]): boolean {
  return (spread(bursts.map(({ noise }) => noise))?.median ?? 0) >= NOISY
}

function times(ratio: Spread | undefined): string {
  return ratio ? show(ratio) : '–'
}

function show(values: Spread | undefined): string {
  if (!values) return '–'
  const { median, low, high } = values
  return low === high ? number(median) : `${number(median)} (${number(low)}–${number(high)})`
}

/** Three digits: more would be noise. */
function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  return value.toLocaleString('en', options).replace('-', '−')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function aligned({ head, rows }: Table): string[] {
  const all = [head, ...rows]
  const plain = (cell: string) => cell.replaceAll('`', '')
  const widths = head.map((_, i) => Math.max(...all.map((cells) => plain(cells[i] ?? '').length)))
  return all.map((cells) =>
    cells
      .map((cell, i) =>
        i === 0 ? plain(cell).padEnd(widths[i] ?? 0) : plain(cell).padStart(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
