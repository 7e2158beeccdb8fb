// munjigi dev: for trying it out. Needs nothing: makes the secret and the database on first start, takes the next free
// port, and prints what to type next.

import { relative } from 'node:path'
import type { Config, Settings } from '../config.ts'
import { keepSecret } from './kept-secret.ts'
import { firstSignal, serveUntilSignal, unlessSignalled } from './lifetime.ts'
import { listenNear } from './listen.ts'
import type { Parts } from './parts.ts'
import { welcome } from './welcome.ts'

/** Serves until a signal. */
export async function dev(settings: Settings, parts: Parts): Promise<void> {
  const { log, random, openDatabase, createApp } = parts
  const signalled = firstSignal()
  const kept = settings.secret === undefined ? await keepSecret(settings, random) : undefined
  // The port is taken first: the issuer of the tokens is the URL that it gives.
  const publicListener = listenNear(settings.host, settings.port, log)
  const metricsListener = listenNear(settings.metricsHost, settings.metricsPort, log)
  const config: Config = Object.freeze({
    ...settings,
    secret: settings.secret ?? kept?.secret ?? '',
    issuerUrl: settings.issuerUrl ?? publicListener.url,
  })
  const database = await unlessSignalled(signalled, openDatabase(config))
  const app = await createApp(config, database)
  console.log(
    welcome({
      url: publicListener.url,
      metricsUrl: metricsListener.url,
      wantedPort: settings.port,
      port: publicListener.port,
      database: settings.databaseUrl,
      madeSecret: kept?.isNew ? relative('.', kept.path) : undefined,
      madeSigningKey: app.madeSigningKey,
      // Not where nobody wants it (https://no-color.org), nor where the terminal would show it as text.
      colour: process.stdout.isTTY === true && process.stdout.hasColors(),
    }),
  )
  await app.start()
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
