// The tables of the report, one for each kind of row.

import type { Figures } from './figures.ts'
import { costRatio, onTop, rateRatio, rowOf } from './figures.ts'
import { latency, noiseOf, show } from './format.ts'
import { curves, floods } from './overload-tables.ts'
import type { Start } from './startup.ts'
import { spread } from './statistics.ts'
import type { Table } from './table.ts'

const NAMES: Readonly<Record<string, string>> = {
  bareEcho: 'ceiling: Hono echo, bare',
  dressedEcho: 'ceiling: Hono echo, dressed',
  me: '`me { id email }`, token seen before',
  meNew: '`me { id email }`, token not seen before',
  bareMe: 'bare `me { id email }`, token seen before',
  bareMeNew: 'bare `me { id email }`, token not seen before',
  jwks: '`GET /.well-known/jwks.json`',
  livez: '`GET /livez`',
  hash: 'ceiling: bare argon2id, Bun',
  login: '`login`, engine `bun`',
  signup: '`signup`, engine `bun`',
  nativeHash: 'ceiling: bare argon2id, native',
  nativeLogin: '`login`, engine `native`',
  insert: 'ceiling: one row, FULL sync, same client',
  refresh: '`refresh`, durable',
  edgeEcho: 'ceiling: bare Hono echo behind the same edge',
  edgeMe: '`me { id email }` through the edge',
  bareStart: 'ceiling: Bun with Hono',
  warmStart: 'serve, existing database',
  coldStart: 'serve, no database yet',
}
const US = (cpu: number | undefined) => cpu && cpu * 1_000

/** All tables that have rows. */
export function tables(figures: Figures): Table[] {
  const all = [light, passwords, writes, edge, starts, peers, floods]
  return [...all.map((make) => make(figures)), ...curves(figures)].filter(
    ({ rows }) => rows.length > 0,
  )
}

function light(figures: Figures): Table {
  const names = ['bareEcho', 'dressedEcho', 'me', 'meNew', 'bareMe', 'bareMeNew', 'jwks', 'livez']
  return burstTable(figures, { title: 'Light requests', names, unit: 'µs' }, [
    ['× bare echo', (name) => show(costRatio(figures, name, 'bareEcho'))],
    ['× dressed echo', (name) => show(costRatio(figures, name, 'dressedEcho'))],
  ])
}

function passwords(figures: Figures): Table {
  const names = ['hash', 'login', 'signup', 'nativeHash', 'nativeLogin']
  const ceilingOf = (name: string) => (name.startsWith('native') ? 'nativeHash' : 'hash')
  return burstTable(figures, { title: 'Passwords', names, unit: 'ms' }, [
    ['CPU × bare hash', (name) => show(costRatio(figures, name, ceilingOf(name)))],
    ['CPU ms on top', (name) => show(onTop(figures, name, ceilingOf(name)))],
    ['rate × bare hash', (name) => show(rateRatio(figures, name, ceilingOf(name)))],
  ])
}

function writes(figures: Figures): Table {
  return burstTable(figures, { title: 'Writes', names: ['insert', 'refresh'], unit: 'µs' }, [
    ['CPU × insert', (name) => show(costRatio(figures, name, 'insert'))],
    ['rate × insert', (name) => show(rateRatio(figures, name, 'insert'))],
  ])
}

function edge(figures: Figures): Table {
  const names = ['edgeEcho', 'edgeMe']
  const title = 'Through Envoy, TLS, three replicas'
  return burstTable(figures, { title, names, unit: 'µs' }, [
    ['CPU × echo', (name) => show(costRatio(figures, name, 'edgeEcho'))],
    ['rate × echo', (name) => show(rateRatio(figures, name, 'edgeEcho'))],
  ])
}

/** Each beside ours of the same round. */
function peers(figures: Figures): Table {
  const ours = ['login', 'me', 'refresh']
  const theirs = figures.peers.flatMap(([name]) =>
    ['login', 'read', 'refresh'].map((part) => `${name} ${part}`),
  )
  const oursOf = (name: string) =>
    name.endsWith('read') ? 'me' : (name.split(' ').at(-1) ?? 'login')
  const names = figures.peers.length === 0 ? [] : [...ours, ...theirs]
  return burstTable(figures, { title: 'Beside other servers', names, unit: 'ms' }, [
    ['CPU × ours', (name) => show(costRatio(figures, name, oursOf(name)))],
  ])
}

type Column = readonly [head: string, cell: (name: string) => string]

function burstTable(
  figures: Figures,
  { title, names, unit }: { title: string; names: readonly string[]; unit: 'µs' | 'ms' },
  columns: readonly Column[],
): Table {
  const measured = names.filter((name) => rowOf(figures, name).length > 0)
  return {
    title,
    head: [
      ...['request', `CPU ${unit}`, 'per second', 'p50 / p99 ms'],
      ...columns.map(([head]) => head),
      'noise',
    ],
    rows: measured.map((name) => {
      const bursts = rowOf(figures, name)
      return [
        NAMES[name] ?? name,
        show(spread(bursts.map(({ cpu }) => (unit === 'µs' ? US(cpu) : cpu)))),
        show(spread(bursts.map(({ perSecond }) => perSecond))),
        latency(bursts),
        ...columns.map(([, cell]) => cell(name)),
        noiseOf(bursts),
      ]
    }),
  }
}

function starts({ starts: all }: Figures): Table {
  return {
    title: 'Starts, and memory at rest',
    head: ['start', 'ms to the first answer', 'CPU ms', 'RSS MiB after 1 s', 'noise'],
    rows: Object.entries(all).map(([name, list]: [string, readonly Start[]]) => [
      NAMES[name] ?? name,
      show(spread(list.map(({ ms }) => ms))),
      show(spread(list.map(({ cpu }) => cpu))),
      show(spread(list.map(({ memory }) => memory))),
      noiseOf(list),
    ]),
  }
}
