// What the registry prints of what it is given. That it is given it, the stories of app.test.ts see.

import { expect, test } from 'bun:test'
import { createMetrics } from './metrics.ts'

const linesOf = async ({ print }: Pick<ReturnType<typeof createMetrics>, 'print'>) =>
  (await print()).split('\n')

test('what is asked at each scrape stands under its own name', async () => {
  const metrics = createMetrics('1')
  metrics.declareEndedKnown(() => 3)
  metrics.declareEndedLag(() => 0.25)
  metrics.declareHashing('bun', { running: () => 4, waiting: () => 5 })
  metrics.declareWriteAge(() => 0.5)
  metrics.declareReadReplicaAge(() => 0.75)
  metrics.declareKeyAge(() => 6)
  const lines = await linesOf(metrics)
  const told = [
    'munjigi_ended_sessions_known 3',
    'munjigi_ended_sessions_lag_seconds 0.25',
    'munjigi_password_hash_running{engine="bun"} 4',
    'munjigi_password_hash_waiting{engine="bun"} 5',
    'munjigi_database_write_age_seconds 0.5',
    'munjigi_database_read_replica_age_seconds 0.75',
    'munjigi_signing_key_age_seconds 6',
    `munjigi_build_info{version="1",bun="${Bun.version}"} 1`,
  ]
  expect(told.filter((line) => !lines.includes(line))).toEqual([])
})

test('what the runtime tells of the process is there where it was asked for', async () => {
  const metrics = createMetrics('1')
  // Of the dashboard.
  const names = ['process_cpu_seconds_total', 'process_resident_memory_bytes']
  const told = async () => {
    const lines = await linesOf(metrics)
    return names.filter((name) => lines.some((line) => line.startsWith(`${name} `)))
  }
  expect(await told()).toEqual([])
  metrics.addProcess()
  expect(await told()).toEqual(names)
})

test('answers of one route are counted by status, in whatever order they come', async () => {
  const metrics = createMetrics('1')
  for (const status of [200, 415, 200])
    metrics.observeRequest('POST', '/graphql', { status, seconds: 0.1 })
  const counts = (await metrics.print()).matchAll(/^http_requests_total\{.*status="(\d+)".* (\d)/gm)
  expect([...counts].map(([, status, count]) => [status, count])).toEqual([
    ['200', '2'],
    ['415', '1'],
  ])
})

test.each([
  [199, false],
  [200, true],
  [299, true],
  [301, false],
  [503, false],
])('an answer with %d is ok: %p', async (status, ok) => {
  const metrics = createMetrics('1')
  metrics.observeRequest('GET', '/readyz', { status, seconds: 0.1 })
  expect(await linesOf(metrics)).toContain(
    `http_requests_total{method="GET",route="/readyz",status="${status}",ok="${ok}"} 1`,
  )
})
