// Opening the services for one command of an operator, and closing the database behind it.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Core } from '../app.ts'
import type { Config, Settings } from '../config.ts'
import { ConfigFaults } from '../config.ts'
import { fileOf } from '../storage/database.ts'
import type { Parts } from './parts.ts'

/** There is nothing to do, or it was not confirmed: exit code 1, and the sentence says why. */
export class NothingFound extends Error {
  override readonly name = 'NothingFound'
}

/** Runs `use` with the services. The secret is the set one, or the one that `dev` keeps beside the database. */
export async function withCore(
  settings: Settings,
  parts: Parts,
  use: (core: Core) => Promise<void>,
): Promise<void> {
  const secret = settings.secret ?? keptSecret(settings)
  if (secret === undefined) throw new ConfigFaults(['MUNJIGI_SECRET: is required'])
  // No token is issued here, so the issuer does not matter.
  const config: Config = { ...settings, mode: 'serve', secret, issuerUrl: settings.issuerUrl ?? '' }
  const database = await parts.openDatabase(settings)
  try {
    await use(await parts.createCore(config, database))
  } finally {
    database.close()
  }
}

function keptSecret({ databaseUrl }: Settings): string | undefined {
  const path = join(
    databaseUrl.startsWith('file:') ? dirname(fileOf(databaseUrl)) : 'data',
    'secret',
  )
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
}
