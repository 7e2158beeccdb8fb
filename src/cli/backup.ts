// munjigi backup FILE: the users, and what the throttles know, as of one moment, sealed, while replicas serve.

import type { Settings } from '../config.ts'
import { canBeSecretsOf } from '../keys/keys.ts'
import { selectSeals } from '../keys/store.ts'
import type { Clock } from '../platform/clock.ts'
import { rewindable, writeNewFile } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { systemCode } from '../platform/system-error.ts'
import { backUp } from '../storage/backup.ts'
import { connected } from '../storage/database.ts'
import type { Manifest } from '../storage/snapshot.ts'
import { strangersOf } from '../storage/snapshot.ts'
import { readBackupSecrets } from './backup-secret.ts'
import { NotDone } from './not-done.ts'
import { print, table } from './output.ts'
import type { BackupOptions } from './program.ts'
import { createProgress } from './progress.ts'
import { requireDatabase } from './with-core.ts'

/** What the two commands are given by `main.ts`. */
export interface BackupParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly random: Random
  readonly version: string
}

/** Writes the backup. Throws `NotDone` where there is a file of that name, or no database, and the errors of database and disk. */
export async function backup(
  path: string,
  { keyFile, json }: BackupOptions,
  { settings, clock, random, version }: BackupParts,
): Promise<void> {
  await requireDatabase(settings)
  const secrets = readBackupSecrets(settings, keyFile)
  const [secret] = secrets
  const place = { url: settings.databaseUrl, authToken: settings.databaseAuthToken }
  if (keyFile === undefined && !canBeSecretsOf(await connected(place, selectSeals), secrets))
    console.error(STRANGE_SECRET)
  for (const stranger of await connected(place, strangersOf))
    console.error(
      `munjigi: ${JSON.stringify(stranger)} is in the database, but not Munjigi's: it is not in the backup`,
    )
  const progress = createProgress('backing up', clock)
  try {
    const manifest = await writeNewFile(path, random, (handle) => {
      const file = rewindable(handle)
      return backUp({ place, secret, version, clock, random, file, onProgress: progress.at })
    })
    progress.end()
    await print(json, manifest, `${describe(manifest)}\n\nwritten to ${path}`)
  } catch (error) {
    progress.end()
    if (systemCode(error) === 'EEXIST')
      throw new NotDone(`${path} is there already: take another name`)
    throw error
  }
}

/** Only a warning: whoever has lost the secret makes a backup under a new one. A mistake would show no earlier than at the restore. */
const STRANGE_SECRET =
  'munjigi: no signing key in the database opens with this MUNJIGI_SECRET. The backup will open with it alone: if replicas have another one, make it again with that.'

/** What a backup holds, for people. */
export function describe({ createdAt, version, schema, tables }: Manifest): string {
  const rows = tables.map(({ name, rows: count }) => [name, String(count)])
  return [
    `of ${createdAt}, by Munjigi ${version}, schema of ${new Date(schema).toISOString()}`,
    '',
    table(['TABLE', 'ROWS'], rows),
  ].join('\n')
}
