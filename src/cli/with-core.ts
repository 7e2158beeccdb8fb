// Opening the services for one command of an operator, and closing the database after it. No command here makes a database: where
// there is none, somebody has mistaken the path.

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Core } from '../app.ts'
import type { Config, Settings } from '../config.ts'
import { ConfigFaults } from '../config.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { Database } from '../storage/database.ts'
import { connected, fileOf } from '../storage/database.ts'
import { allMigrations, missingMigrations } from '../storage/migrate.ts'
import { refuseUnfinished } from '../storage/unfinished.ts'
import { readKeptSecret } from './kept-secret.ts'
import { NotDone } from './not-done.ts'
import type { OperatorParts } from './parts.ts'

/** Throws `NotDone` if the file that should be the database is not there, or if the file or server has none of our tables. */
export async function requireDatabase(settings: Settings): Promise<void> {
  const { databaseUrl: url } = settings
  if ((await missingIn(settings)).length === allMigrations().length)
    throw new NotDone(
      `there is no database at ${url.startsWith('file:') ? resolve(fileOf(url)) : url}: check MUNJIGI_DATABASE_URL; munjigi migrate makes one`,
    )
}

/** The migrations that the database has not had. A file that is not there is not made by asking. Throws `UnfinishedRestore`. */
export async function missingIn({
  databaseUrl: url,
  databaseAuthToken,
}: Settings): Promise<readonly string[]> {
  if (lacksFile(url)) return allMigrations()
  return await connected({ url, authToken: databaseAuthToken }, async (client) => {
    await refuseUnfinished(client)
    return await missingMigrations(client)
  })
}

/** Whether the database should be a file that is not there. Throws where we may not look: it may be there. */
function lacksFile(databaseUrl: string): boolean {
  return (
    databaseUrl.startsWith('file:') && !statSync(fileOf(databaseUrl), { throwIfNoEntry: false })
  )
}

/** Runs `use` with the services. The secret is the set one, or the one that `dev` keeps beside the database. */
export async function withCore(
  operator: OperatorParts,
  use: (core: Core) => Promise<void>,
): Promise<void> {
  await withDatabase(operator, async (config, database) =>
    use(await operator.parts.createCore(config, database)),
  )
}

/** The same with the signing keys alone, of which some may be unreadable. */
export async function withKeys(
  operator: OperatorParts,
  use: (keys: KeyRing) => Promise<void>,
): Promise<void> {
  await withDatabase(operator, async (config, database) =>
    use(await operator.parts.openReadableKeys(config, database)),
  )
}

async function withDatabase(
  { settings, parts }: OperatorParts,
  use: (config: Config, database: Database) => Promise<void>,
): Promise<void> {
  await requireDatabase(settings)
  const secret = settings.secret ?? readKeptSecret(settings)
  if (secret === undefined) throw new ConfigFaults(['MUNJIGI_SECRET: is required'])
  // No token is issued here, so the issuer does not matter.
  const config: Config = { ...settings, secret, issuerUrl: settings.issuerUrl ?? '' }
  const database = await parts.openDatabase(settings)
  try {
    await use(config, database)
  } finally {
    await database.close()
  }
}
