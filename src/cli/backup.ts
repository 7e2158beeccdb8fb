// munjigi backup FILE: the users, and what the throttles know, as of one moment, sealed, while replicas serve.

import type { Settings } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import { rewindable, writeNewFile } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { backUp } from '../storage/backup.ts'
import type { Manifest } from '../storage/snapshot.ts'
import { readBackupSecrets } from './backup-secret.ts'
import { print, table } from './output.ts'
import type { BackupOptions } from './program.ts'
import { createProgress } from './progress.ts'
import { NotDone, requireDatabase } from './with-core.ts'

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
  const [secret] = readBackupSecrets(settings, keyFile)
  const progress = createProgress('backing up', clock)
  const place = { url: settings.databaseUrl, authToken: settings.databaseAuthToken }
  try {
    const manifest = await writeNewFile(path, random, (handle) => {
      const file = rewindable(handle)
      return backUp({ place, secret, version, clock, random, file, onProgress: progress.at })
    })
    progress.end()
    await print(json, manifest, `${describe(manifest)}\n\nwritten to ${path}`)
  } catch (error) {
    progress.end()
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      throw new NotDone(`${path} is there already: take another name`)
    throw error
  }
}

/** What a backup holds, for people. */
export function describe({ createdAt, version, schema, tables }: Manifest): string {
  const rows = tables.map(({ name, rows: count }) => [name, String(count)])
  return [
    `of ${createdAt}, by Munjigi ${version}, schema of ${new Date(schema).toISOString()}`,
    '',
    table(['TABLE', 'ROWS'], rows),
  ].join('\n')
}
