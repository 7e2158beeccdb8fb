// What a backup is sealed with: the secret of the installation, or a key of its own from a file.

import { parseSecretFile } from '../config/secret-file.ts'
import { RANDOM_TEXT } from '../config/values.ts'
import type { Settings } from '../config.ts'
import { ConfigFaults, secretsOf } from '../config.ts'
import { readKeptSecret } from './kept-secret.ts'
import { readTextFile } from './text-file.ts'

const LEAST_BYTES = 32

/** The secrets to try, the first of which seals. Throws `ConfigFaults` where there is none. */
export function readBackupSecrets(
  settings: Settings,
  keyFile: string | undefined,
): readonly [string, ...string[]] {
  if (keyFile !== undefined) return readKeyFile(keyFile)
  const secret = settings.secret ?? readKeptSecret(settings)
  if (secret === undefined) throw new ConfigFaults(['MUNJIGI_SECRET: is required, or --key-file'])
  return secretsOf({ ...settings, secret })
}

/** The whole text; and if it is a copy of the file of `MUNJIGI_SECRET_FILE`, made during a replacement, the two secrets in it. */
function readKeyFile(path: string): readonly [string, ...string[]] {
  const key = readTextFile(path, `--key-file: is not text; ${RANDOM_TEXT}`)
  if (Buffer.byteLength(key) < LEAST_BYTES)
    throw new ConfigFaults([`--key-file: must hold at least ${LEAST_BYTES} bytes`])
  const { secret, other } = parseSecretFile(key)
  return other ? [key, secret, other.secret] : [key]
}
