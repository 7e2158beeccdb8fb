// What the project wants of itself, beside what was measured. Ratios hold on any machine; times and memory are for a
// small server. A missed one is a fact, not a failure of the run.

import type { Figures } from './figures.ts'
import { costRatio, onTop, rateRatio, rowOf } from './figures.ts'
import type { Disturbed } from './format.ts'
import { isNoisy, show } from './format.ts'
import type { Spread } from './statistics.ts'
import { spread } from './statistics.ts'
import type { Table } from './table.ts'

/** The table of targets; rows of what was not measured say so. */
export function targets(figures: Figures): Table {
  return {
    title: 'Targets',
    head: ['target', 'wanted', 'measured', ''],
    rows: [
      ...light(figures),
      ...login(figures, 'login', 'hash'),
      ...('nativeLogin' in figures.bursts ? login(figures, 'nativeLogin', 'nativeHash') : []),
      ...others(figures),
      ...underFlood(figures),
    ],
  }
}

function light(figures: Figures): string[][] {
  const target = (name: string, most: number, ratio: [row: string, ceiling: string]) =>
    row(name, { most }, costRatio(figures, ...ratio), rowOf(figures, ratio[0]))
  return [
    target('CPU of `me` / of a dressed echo', 1.5, ['me', 'dressedEcho']),
    target('CPU of a bare `me` / of a bare echo', 2, ['bareMe', 'bareEcho']),
    target('CPU of `me`, new token / of a dressed echo', 6, ['meNew', 'dressedEcho']),
    target('CPU of a bare `me`, new token / of a bare echo', 6, ['bareMeNew', 'bareEcho']),
  ]
}

function login(figures: Figures, name: string, ceiling: string): string[][] {
  const bursts = rowOf(figures, name)
  const noise = [...bursts, ...rowOf(figures, ceiling)]
  const engine = name === 'login' ? 'bun' : 'native'
  const tail = spread(bursts.map(({ p50, p99 }) => p50 && p99 && p99 / p50))
  const rate = rateRatio(figures, name, ceiling)
  return [
    row(`logins / bare hashes a second, ${engine}`, { least: 0.9 }, rate, noise),
    row(
      `CPU ms of a login on top of the hash, ${engine}`,
      { most: 3 },
      onTop(figures, name, ceiling),
      noise,
    ),
    row(`p99 of login / its p50, ${engine}`, { most: 2 }, tail, noise),
  ]
}

function others(figures: Figures): string[][] {
  const [refresh, edge] = [rowOf(figures, 'refresh'), rowOf(figures, 'edgeMe')]
  const edgeRate = rateRatio(figures, 'edgeMe', 'edgeEcho')
  const { warmStart = [] } = figures.starts
  return [
    row('CPU ms of `refresh`', { most: 0.8 }, spread(refresh.map(({ cpu }) => cpu)), refresh),
    row('refreshes / inserts a second', { least: 0.6 }, rateRatio(figures, 'refresh', 'insert'), [
      ...refresh,
      ...rowOf(figures, 'insert'),
    ]),
    row('p99 ms of `refresh`', { most: 30 }, spread(refresh.map(({ p99 }) => p99)), refresh),
    row('`me` / echoes a second, through the edge', { least: 0.85 }, edgeRate, edge),
    row('ms to start', { most: 500 }, spread(warmStart.map(({ ms }) => ms)), warmStart),
    row('RSS at rest, MiB', { most: 100 }, spread(warmStart.map(({ memory }) => memory))),
  ]
}

function underFlood({ floods: [ours] }: Figures): string[][] {
  if (!ours) return []
  const one = (value: number | undefined) => spread([value])
  return [
    row('accepted logins / unloaded ones, flood', { least: 0.9 }, one(ours.ofUnloaded)),
    row('p99 ms of an accepted login, flood', { most: 1_000 }, one(ours.acceptedP99)),
    row('p99 ms of a refusal, flood', { most: 100 }, one(ours.refusedP99)),
    row('p99 ms of the light read, flood', { most: 50 }, one(ours.readP99)),
    row('errors of the light read, flood', { most: 0 }, one(ours.readErrors)),
    row('peak RSS, MiB, flood', { most: 200 }, one(ours.memory)),
  ]
}

function row(
  name: string,
  { most, least }: { most?: number; least?: number },
  measured: Spread | undefined,
  disturbed: readonly Disturbed[] = [],
): string[] {
  const wanted = most === undefined ? `≥ ${least}` : `≤ ${most}`
  if (!measured) return [name, wanted, '–', 'not measured']
  const met = measured.median <= (most ?? Infinity) && measured.median >= (least ?? -Infinity)
  return [
    name,
    wanted,
    show(measured),
    `${met ? 'met' : 'MISSED'}${isNoisy(disturbed) ? ' !' : ''}`,
  ]
}
