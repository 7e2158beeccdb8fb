// What servers have counted themselves: which answers were the right ones.

import type { Server } from './stage.ts'

/** How many `me` these servers have answered well. */
export function meCount(servers: readonly Pick<Server, 'metricsUrl'>[]): () => Promise<number> {
  const labels = ['field="me"', 'outcome="ok"']
  return counter(servers, 'munjigi_graphql_operation_seconds_count', labels)
}

/** How many times a server has answered a route well. */
export function routeCount(server: Server, route: string): () => Promise<number> {
  return counter([server], 'http_requests_total', [`route="${route}"`, 'status="200"'])
}

/** Reads one series of the servers' own metrics. */
export function counter(
  servers: readonly Pick<Server, 'metricsUrl'>[],
  series: string,
  labels: readonly string[],
) {
  return async (): Promise<number> => {
    const texts = servers.map(async ({ metricsUrl = '' }) => (await fetch(metricsUrl)).text())
    return (await Promise.all(texts))
      .flatMap((text) => text.split('\n'))
      .filter((text) => text.startsWith(`${series}{`) && labels.every((l) => text.includes(l)))
      .reduce((sum, text) => sum + Number(text.slice(text.lastIndexOf(' '))), 0)
  }
}
