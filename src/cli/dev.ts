// munjigi dev: for trying it out. Needs nothing: makes the secret and the database on first start, takes the next free
// port, and prints what to type next.

import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Config, Settings } from '../config.ts'
import type { Random } from '../platform/random.ts'
import { fileOf } from '../storage/database.ts'
import { serveUntilSignal } from './lifetime.ts'
import { listenNear } from './listen.ts'
import type { Parts } from './parts.ts'
import { welcome } from './welcome.ts'

/** Serves until a signal. */
export async function dev(settings: Settings, parts: Parts): Promise<void> {
  const { log, random, openDatabase, createApp } = parts
  const folder = settings.databaseUrl.startsWith('file:')
    ? dirname(fileOf(settings.databaseUrl))
    : 'data'
  const kept =
    settings.secret === undefined ? keepSecret(join(folder, 'secret'), random) : undefined
  // The port is taken first: the issuer of the tokens is the URL that it gives.
  const publicListener = listenNear(settings.host, settings.port)
  const metricsListener = listenNear(settings.metricsHost, settings.metricsPort)
  const config: Config = Object.freeze({
    ...settings,
    mode: 'dev',
    secret: settings.secret ?? kept?.secret ?? '',
    issuerUrl: settings.issuerUrl ?? publicListener.url,
  })
  const database = await openDatabase(config)
  const app = await createApp(config, database)
  console.log(
    welcome({
      url: publicListener.url,
      metricsUrl: metricsListener.url,
      wantedPort: settings.port,
      port: publicListener.port,
      database: settings.databaseUrl,
      madeSecret: kept?.isNew ? relative('.', kept.path) || kept.path : undefined,
      madeSigningKey: app.madeSigningKey,
      colour: process.stdout.isTTY === true,
    }),
  )
  await serveUntilSignal({
    app,
    database,
    log,
    publicListener,
    metricsListener,
    drainSeconds: config.drainSeconds,
  })
}

/** The secret beside the database, made once, readable by its owner only. Two processes at once agree on one. */
function keepSecret(
  path: string,
  random: Random,
): { secret: string; path: string; isNew: boolean } {
  if (existsSync(path)) return { secret: readSecret(path), path, isNew: false }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${Buffer.from(random.bytes(8)).toString('hex')}.tmp`
  const text = `${Buffer.from(random.bytes(48)).toString('base64url')}\n`
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' })
  try {
    // A link appears whole or not at all, and not over an existing file.
    linkSync(draft, path)
    return { secret: readSecret(path), path, isNew: true }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return { secret: readSecret(path), path, isNew: false }
  } finally {
    rmSync(draft, { force: true })
  }
}

function readSecret(path: string): string {
  return readFileSync(path, 'utf8').trim()
}
