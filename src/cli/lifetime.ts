// From the first request to the last: what runs while a process serves, and how it ends on SIGTERM or SIGINT.

import type { App } from '../app.ts'
import { REQUEST_DEADLINE_MS } from '../http/routes.ts'
import type { Log } from '../observability/log.ts'
import { describeError } from '../observability/log.ts'
import { createPoolPriority } from '../platform/pool-priority.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import type { Listener } from './listen.ts'

/** All that must be ended in order. The app has been started. */
export interface Running {
  readonly app: App
  readonly database: Database
  readonly log: Log
  readonly random: Random
  readonly publicListener: Listener
  readonly metricsListener: Listener
  /** What `firstSignal` returned; called before anything that takes time. */
  readonly signalled: Promise<string>
  readonly drainSeconds: number
}

/**
 * Serves until a signal, then drains: says so in every answer, serves on for `drainSeconds`, stops accepting,
 * finishes what runs, closes the database. A second signal (see `firstSignal`) exits at once with 130.
 */
export async function serveUntilSignal(running: Running): Promise<void> {
  const { app, database, log, publicListener, metricsListener, signalled, drainSeconds } = running
  logFaults(log)
  const poolPriority = createPoolPriority(running.random)
  poolPriority.start()
  publicListener.answer(app.fetch)
  metricsListener.answer(app.metricsFetch)
  log.info('server.started', { url: publicListener.url, metrics: `${metricsListener.url}/metrics` })

  const signal = await signalled
  app.drain()
  log.info('server.draining', { signal, seconds: drainSeconds })
  await Bun.sleep(drainSeconds * 1_000)
  await publicListener.close(REQUEST_DEADLINE_MS)
  app.stop()
  poolPriority.stop()
  await metricsListener.close(0)
  await database.close()
  log.info('server.stopped')
}

/** Faults of no request. Bun itself would print them with message and source, in lines that no collector can read. */
function logFaults(log: Log): void {
  process.on('unhandledRejection', (fault) => log.error('background.failed', describeError(fault)))
  process.on('uncaughtException', (fault) => {
    log.error('process.failed', describeError(fault))
    process.exit(1)
  })
}

/**
 * Waits for a step of the start, which may take 20 s while another process migrates. A signal meanwhile ends this process at once:
 * nothing is served yet that could be drained.
 */
export async function unlessSignalled<T>(
  signalled: Promise<string>,
  waiting: Promise<T>,
): Promise<T> {
  let waits = true
  void signalled.then(() => {
    if (waits) process.exit(0)
  })
  try {
    return await waiting
  } finally {
    waits = false
  }
}

/** systemd sends a signal to every process of a service; the launcher or npm, one of them, passes it on, and we hear it twice. */
const HEARD_TWICE_MS = 500

/**
 * The first SIGTERM or SIGINT. A second one ends the process at once, but the same one within half a second is the first, heard
 * twice. The listener is never taken away: without one, even for a moment, a second signal would end the process by itself, and
 * the first process of a container would not hear it at all.
 */
export function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    let heard: string | undefined
    let isOver = false
    const hear = (name: string) => {
      if (heard === name && !isOver) return
      if (heard) process.exit(130)
      heard = name
      setTimeout(() => {
        isOver = true
      }, HEARD_TWICE_MS).unref()
      resolve(name)
    }
    process.on('SIGTERM', hear).on('SIGINT', hear)
  })
}

/**
 * Has SIGINT and SIGTERM end an operator's command that is the first process of a container: there a signal does nothing unless
 * somebody listens for it, and Ctrl-C would not stop an import. Everywhere else they do so by themselves.
 */
export function endBySignal(): void {
  if (process.pid !== 1) return
  process.on('SIGINT', () => process.exit(130)).on('SIGTERM', () => process.exit(143))
}
