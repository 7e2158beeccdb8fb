// munjigi serve: for production. Nothing is guessed and nothing is made up: what is missing is an error.

import type { Config } from '../config.ts'
import { firstSignal, serveUntilSignal, unlessSignalled } from './lifetime.ts'
import { listen } from './listen.ts'
import type { Parts } from './parts.ts'

/** Serves until a signal. Throws `PortTaken`. */
export async function serve(config: Config, parts: Parts): Promise<void> {
  const { log, random, openDatabase, createApp } = parts
  const signalled = firstSignal()
  const database = await unlessSignalled(signalled, openDatabase(config))
  const app = await createApp(config, database)
  if (app.madeSigningKey) log.info('key.created', { algorithm: config.signingAlgorithm })
  await app.start()
  // Not before: the edge tries another replica if a connection is refused, but not if a request is answered with a failure.
  const publicListener = listen(config.host, config.port, log)
  const metricsListener = listen(config.metricsHost, config.metricsPort, log)
  await serveUntilSignal({
    app,
    database,
    log,
    random,
    publicListener,
    metricsListener,
    signalled,
    drainSeconds: config.drainSeconds,
  })
}
