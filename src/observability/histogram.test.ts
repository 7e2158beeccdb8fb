// Histograms, held against prom-client's own: what Prometheus reads must be the same.

import { describe, expect, test } from 'bun:test'
import { prometheus } from '@hono/prometheus'
import { Hono } from 'hono'
import type { Metric } from 'prom-client'
import { Histogram, Registry } from 'prom-client'
import { createHistogram } from './histogram.ts'
import { createMetrics } from './metrics.ts'

const OPTIONS = { name: 'x_seconds', help: 'How long.', buckets: [0.1, 1, 2.5] }

async function print(metric: unknown): Promise<string> {
  const registry = new Registry()
  registry.registerMetric(metric as Metric)
  return await registry.metrics()
}

describe('a histogram prints what prom-client would', () => {
  test.each<[string, number[]]>([
    ['nothing observed', []],
    ['a value in each bucket and one above', [0.05, 0.5, 2, 3]],
    ['values on the bounds', [0.1, 1, 2.5]],
    ['zero, and many of one bucket', [0, 0, 0.2, 0.3, 0.4]],
  ])('%s', async (_, values) => {
    const [ours, theirs] = [
      createHistogram(OPTIONS),
      new Histogram({ ...OPTIONS, labelNames: ['kind', 'of'], registers: [] }),
    ]
    for (const labels of [
      { kind: 'a', of: 'x' },
      { kind: 'b"\\\n', of: 'y' },
    ]) {
      theirs.zero(labels)
      const series = ours.series(labels)
      for (const value of values) {
        series.observe(value)
        theirs.observe(labels, value)
      }
    }
    expect(await print(ours)).toBe(await print(theirs))
  })

  test('the same labels are the same series', async () => {
    const histogram = createHistogram(OPTIONS)
    histogram.series({ kind: 'a' }).observe(1)
    histogram.series({ kind: 'a' }).observe(1)
    expect(await print(histogram)).toContain('x_seconds_count{kind="a"} 2')
    expect(await print(histogram.total('x_total', 'How many.'))).toContain('x_total{kind="a"} 2')
  })
})

describe('the metrics of requests', () => {
  test('are those of @hono/prometheus, but for the times', async () => {
    const [metrics, registry] = [createMetrics('1'), new Registry()]
    const app = new Hono().use(prometheus({ registry }).registerMetrics)
    app.get('/a', (c) => c.text('a')).post('/b', (c) => c.text('b', 503))
    for (const [method, route, status] of [
      ['GET', '/a', 200],
      ['POST', '/b', 503],
      ['GET', '/a', 200],
    ] as const) {
      await app.request(route, { method })
      metrics.observeRequest(method, route, { status, seconds: 0.001 })
    }
    const http = (text: string) =>
      text
        .split('\n')
        .filter((line) => /^(# \w+ )?http_/.test(line))
        .map((line) => line.replace(/(_(?:sum|bucket)\{.*\}) .*/, '$1'))
        .toSorted()
    expect(http(await metrics.print())).toEqual(http(await registry.metrics()))
  })

  test('take no name from a client: any other method is `other`', async () => {
    const metrics = createMetrics('1')
    for (const method of ['FOO', 'BAR', 'PATCH'])
      metrics.observeRequest(method, '/graphql', { status: 405, seconds: 0 })
    const methods = (await metrics.print()).matchAll(
      /^http_requests_total\{method="(\w+)".* (\d)/gm,
    )
    expect([...methods].map(([, method, count]) => [method, count])).toEqual([
      ['other', '2'],
      ['PATCH', '1'],
    ])
  })
})
