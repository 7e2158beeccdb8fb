// From the first request to the last: what runs while a process serves, and how it ends on SIGTERM or SIGINT.

import type { App } from '../app.ts'
import type { Log } from '../observability/log.ts'
import type { Database } from '../storage/database.ts'
import type { Listener } from './listen.ts'

/** All that must be ended in order. */
export interface Running {
  readonly app: App
  readonly database: Database
  readonly log: Log
  readonly publicListener: Listener
  readonly metricsListener: Listener
  readonly drainSeconds: number
}

/** As long as a request may take: after that nobody waits for an answer. */
const LAST_ANSWERS_MS = 8_000

/**
 * Serves until a signal, then drains: says so in every answer, serves on for `drainSeconds`, stops accepting,
 * finishes what runs, closes the database. A second signal exits at once with 130.
 */
export async function serveUntilSignal(running: Running): Promise<void> {
  const { app, database, log, publicListener, metricsListener, drainSeconds } = running
  const signalled = signal()
  await app.start()
  publicListener.answer(app.fetch)
  metricsListener.answer(app.metricsFetch)
  log.info('server.started', { url: publicListener.url, metrics: `${metricsListener.url}/metrics` })

  log.info('server.draining', { signal: await signalled, seconds: drainSeconds })
  process.once('SIGTERM', exitAtOnce).once('SIGINT', exitAtOnce)
  app.drain()
  await Bun.sleep(drainSeconds * 1_000)
  await publicListener.close(LAST_ANSWERS_MS)
  app.stop()
  await metricsListener.close(0)
  database.close()
  log.info('server.stopped')
}

function signal(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve)
  })
}

function exitAtOnce(): never {
  process.exit(130)
}
