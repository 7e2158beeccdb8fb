// What a backup is sealed with: the secret of the installation, or a key of its own from a file.

import { readFileSync } from 'node:fs'
import { RANDOM_TEXT } from '../config/values.ts'
import type { Settings } from '../config.ts'
import { ConfigFaults } from '../config.ts'
import { NotText, textOf } from '../platform/utf8.ts'
import { readKeptSecret } from './kept-secret.ts'

const LEAST_BYTES = 32

/** The secrets to try, the first of which seals. Throws `ConfigFaults` where there is none. */
export function readBackupSecrets(
  settings: Settings,
  keyFile: string | undefined,
): [string, ...string[]] {
  if (keyFile !== undefined) return [readKeyFile(keyFile)]
  const secret = settings.secret ?? readKeptSecret(settings)?.secret
  if (secret === undefined) throw new ConfigFaults(['MUNJIGI_SECRET: is required, or --key-file'])
  return settings.secretPrevious === undefined ? [secret] : [secret, settings.secretPrevious]
}

function readKeyFile(path: string): string {
  const key = readText(path).trim()
  if (Buffer.byteLength(key) < LEAST_BYTES)
    throw new ConfigFaults([`--key-file: must hold at least ${LEAST_BYTES} bytes`])
  return key
}

/** Raw bytes would nearly all become the same sign, and one such key would open what another one sealed. */
function readText(path: string): string {
  try {
    return textOf(readFileSync(path))
  } catch (error) {
    if (!(error instanceof NotText)) throw error
    throw new ConfigFaults([`--key-file: is not text; ${RANDOM_TEXT}`])
  }
}
