// munjigi restore FILE: fills a database from a backup. Replicas must be stopped; one that runs is noticed and nothing done.

import { createReadStream, statSync } from 'node:fs'
import { toFault } from '../storage/faults.ts'
import type { OnProgress, OpenBackup } from '../storage/restore.ts'
import { checkBackup, fill, openBackup, strangersIn } from '../storage/restore.ts'
import { LeftBehind, restoreTarget, TargetInUse } from '../storage/restore-target.ts'
import type { Manifest } from '../storage/snapshot.ts'
import type { BackupParts } from './backup.ts'
import { describe } from './backup.ts'
import { readBackupSecrets } from './backup-secret.ts'
import { NotDone } from './not-done.ts'
import { print } from './output.ts'
import type { RestoreOptions } from './program.ts'
import { createProgress } from './progress.ts'

/** Restores. Throws `BrokenBackup`, `NotDone` if the place must not be replaced, and the errors of database and disk. */
export async function restore(
  path: string,
  options: RestoreOptions,
  parts: BackupParts,
): Promise<void> {
  const { settings, random } = parts
  const secrets = readBackupSecrets(settings, options.keyFile)
  refusePipe(path)
  const open = () => openBackup(createReadStream(path), secrets)
  const url = settings.databaseUrl
  const target = restoreTarget({ url, authToken: settings.databaseAuthToken }, random)
  // All of it is read once before anything is changed: a broken backup must not cost what is there.
  const { manifest } = await withProgress('reading', parts, await open(), checkBackup)
  for (const stranger of await strangersIn(manifest))
    console.error(
      `munjigi: ${JSON.stringify(stranger)} is in the backup, but not Munjigi's: it is not restored`,
    )
  const there = await target.rows().catch(explainPlace)
  const isEmpty = Object.keys(there).length === 0
  const state = `${url} ${isEmpty ? 'is empty' : `holds ${countsOf(there)}`}`
  if (options.dryRun)
    return print(
      options.json,
      { ...manifest, there },
      `${describe(manifest)}\n\nthe backup is whole; ${state}; nothing was changed`,
    )
  if (!isEmpty && !options.replace)
    throw new NotDone(`${state}: add --replace to overwrite that with the backup`)
  await withProgress('restoring', parts, await open(), async (backup, onProgress) => {
    await target.replace((client) => fill(client, backup, onProgress)).catch(explainPlace)
  })
  await print(options.json, manifest, `${describe(manifest)}\n\n${restored(manifest)}`)
}

/** It is read twice. A pipe would be whole in a dry run, and no backup at all when it matters. */
function refusePipe(path: string): void {
  if (statSync(path).isFIFO())
    throw new NotDone(`${path} is a pipe, and a restore reads twice: put the backup into a file`)
}

function restored({ createdAt }: Manifest): string {
  return [
    'restored; all sessions have ended, and a new key will sign',
    `Users who were disabled or deleted after ${createdAt} are back. Before replicas start:`,
    'munjigi users disable EMAIL or munjigi users delete EMAIL --yes',
  ].join('\n')
}

async function withProgress(
  what: string,
  { clock }: BackupParts,
  backup: OpenBackup,
  work: (backup: OpenBackup, onProgress: OnProgress) => Promise<void>,
): Promise<OpenBackup> {
  const progress = createProgress(what, clock)
  try {
    await work(backup, progress.at)
    return backup
  } finally {
    progress.end()
  }
}

function countsOf(rows: Readonly<Record<string, number>>): string {
  return Object.entries(rows)
    .map(([table, count]) => `${count} ${table}`)
    .join(', ')
}

function explainPlace(error: unknown): never {
  if (error instanceof TargetInUse)
    throw new NotDone(`the database is in use (${error.message}): stop all replicas first`)
  if (error instanceof LeftBehind)
    throw new NotDone(
      `${error.message} belongs to a database that is no longer there: move it to where that database is`,
    )
  const { detail } = toFault(error)
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(detail))
    throw new NotDone(
      `the database that is there is damaged (${detail}): move its file, with -wal and -shm, to another folder first`,
    )
  throw error
}
