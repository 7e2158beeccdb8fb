// `munjigi secrets rotate`: replaces the secret in the file that the replicas read, in three steps with a rollout after each,
// so that no replica meets what another one wrote under a secret that it does not know. Each step is one rename: a machine
// that dies in the middle leaves the file as it was or as it is to be.

import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { chmod, chown, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { SecretFile } from '../config/secret-file.ts'
import { parseSecretFile, printSecretFile } from '../config/secret-file.ts'
import { ConfigFaults } from '../config.ts'
import { WrongSecret } from '../keys/keys.ts'
import { nameBeside, putInPlace } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { newSecret } from './kept-secret.ts'
import { NotDone } from './not-done.ts'
import type { OperatorParts } from './parts.ts'
import { withCore } from './with-core.ts'

/** Which step; the first when it is neither of these. */
export interface Step {
  readonly useNext?: true
  readonly dropPrevious?: true
}

/** The command, on the file at `path`. */
export async function rotateSecret(
  step: Step,
  path: string | undefined,
  operator: OperatorParts,
): Promise<void> {
  if (!path)
    throw new ConfigFaults(['MUNJIGI_SECRET_FILE: is required: it names the file to replace'])
  const { random } = operator.parts
  const before = parseSecretFile(readFileSync(path, 'utf8'))
  const after = nextStep(step, before, random)
  if (step.dropPrevious) await sealAnew(before, operator)
  await replaceFile(realpathSync(path), printSecretFile(after), random)
  console.log(DONE[after.other?.word ?? 'dropped'])
}

/** What the file is to hold after this step. Throws `NotDone` when it is another step's turn. */
function nextStep(
  { useNext, dropPrevious }: Step,
  { secret, other }: SecretFile,
  random: Random,
): SecretFile {
  const word = useNext ? 'next' : dropPrevious ? 'previous' : undefined
  if (word !== other?.word) throw new NotDone(DUE[other?.word ?? 'first'])
  if (!other) return { secret, other: { word: 'next', secret: newSecret(random) } }
  return useNext ? { secret: other.secret, other: { word: 'previous', secret } } : { secret }
}

const DONE = {
  next: 'every replica that starts from now on also accepts the next secret. Replace all replicas, then: munjigi secrets rotate --use-next',
  previous:
    'every replica that starts from now on writes with the new secret and accepts the previous one. Replace all replicas; when nobody needs the previous secret any more: munjigi secrets rotate --drop-previous',
  dropped: 'the previous secret is dropped. Replace all replicas',
} as const

const DUE = {
  first: 'the file holds one secret; to replace it: munjigi secrets rotate',
  next: 'a next secret is there already. Once all replicas have been replaced since: munjigi secrets rotate --use-next',
  previous:
    'the previous secret is still there. When nobody needs it any more: munjigi secrets rotate --drop-previous',
} as const

/** Opening the signing keys seals them under the first secret. Opening them without the other one then shows that none needs it. */
async function sealAnew(file: SecretFile, { settings, parts }: OperatorParts): Promise<void> {
  const both = { ...settings, secret: file.secret, secretPrevious: file.other?.secret }
  await withCore({ settings: both, parts }, async () => {})
  try {
    await withCore({ settings: { ...both, secretPrevious: undefined }, parts }, async () => {})
  } catch (error) {
    if (!(error instanceof WrongSecret)) throw error
    throw new NotDone('a signing key is still sealed under the previous secret: try again')
  }
}

/**
 * Keeps mode and owner of the file that was there: whoever calls this need not be the one who reads it. Of two calls at once the
 * last one counts, or one removes the other's draft and makes it fail.
 */
async function replaceFile(path: string, text: string, random: Random): Promise<void> {
  await removeDrafts(path)
  const draft = nameBeside(path, DRAFT, random)
  try {
    await writeFile(draft, text, { mode: 0o600, flag: 'wx' })
    const { mode, uid, gid } = statSync(path)
    await chown(draft, uid, gid)
    await chmod(draft, mode & 0o777)
    await putInPlace(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

const DRAFT = 'rotating'

/** Removes drafts of calls that were killed: they hold secrets, perhaps one that was dropped since. */
async function removeDrafts(path: string): Promise<void> {
  const folder = dirname(path)
  const isDraft = (name: string) => name.startsWith(`${basename(path)}.${DRAFT}-`)
  for (const name of readdirSync(folder).filter(isDraft))
    await rm(join(folder, name), { force: true })
}
