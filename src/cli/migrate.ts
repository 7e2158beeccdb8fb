// munjigi migrate: brings the schema forward without starting a server; with --check it only says what would run.

import { NotDone } from './not-done.ts'
import { print } from './output.ts'
import type { OperatorParts } from './parts.ts'
import type { Output } from './program.ts'
import { missingIn } from './with-core.ts'

/** Migrates, or says what is missing: with `check` that is exit code 1, so that a script can ask. */
export async function migrateDatabase(
  { check, json }: Output & { check?: true },
  { settings, parts }: OperatorParts,
): Promise<void> {
  const missing = await missingIn(settings)
  if (!check) {
    const database = await parts.openDatabase(settings)
    await database.close()
    return print(json, { applied: missing }, sentence('applied', missing))
  }
  await print(json, { missing }, sentence('would apply', missing))
  if (missing.length > 0) throw new NotDone('the database is not at the newest schema')
}

function sentence(verb: string, names: readonly string[]): string {
  return names.length === 0 ? 'the schema is the newest' : `${verb} ${names.join(', ')}`
}
