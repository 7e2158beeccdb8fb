// The file of `MUNJIGI_SECRET_FILE`: the secret, and while it is being replaced a second line, `next …` or `previous …`, with
// the other one, which is accepted beside it. One file, so that a replica never reads half of a replacement.

import { PREFIX } from './values.ts'

/** The secret that writes, and the one that is accepted beside it. */
export interface SecretFile {
  readonly secret: string
  readonly other?: { readonly word: 'next' | 'previous'; readonly secret: string }
}

const FORM = /^(?<secret>.*[^\r])\r?\n(?<word>next|previous) (?<other>.+)$/s

/** Reads such a file. Everything that is not such a second line is the secret, line breaks included, but for the last one. */
export function parseSecretFile(text: string): SecretFile {
  const whole = text.replace(/\r?\n$/, '')
  const { secret = whole, word, other } = FORM.exec(whole)?.groups ?? {}
  if (other === undefined) return { secret }
  return { secret, other: { word: word === 'next' ? 'next' : 'previous', secret: other } }
}

/** The text of such a file. */
export function printSecretFile({ secret, other }: SecretFile): string {
  return `${secret}\n${other ? `${other.word} ${other.secret}\n` : ''}`
}

/** The environment, and how a file is read. */
interface Source {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => string
}

const [SECRET, PREVIOUS] = [`${PREFIX}SECRET`, `${PREFIX}SECRET_PREVIOUS`]

/**
 * The same source with the secrets of that file in the place of its path. It is read once: if it were replaced between two
 * readings, both settings could get the same secret. A file that cannot be read, or is empty, is left to `readSettings`,
 * which reports it.
 */
export function withSecretFile<S extends Source>(source: S, faults: string[]): S {
  const { environment } = source
  const path = environment[`${SECRET}_FILE`]
  const text = path && !environment[SECRET] && readIfThere(source, path)
  if (!text || text.trim() === '') return source
  const { secret, other } = parseSecretFile(text)
  const read = { ...environment, [SECRET]: secret, [`${SECRET}_FILE`]: undefined }
  if (!other) return { ...source, environment: read }
  if (environment[PREVIOUS] || environment[`${PREVIOUS}_FILE`])
    faults.push(`${PREVIOUS}: must not be set, as the file of ${SECRET}_FILE holds two secrets`)
  return {
    ...source,
    environment: { ...read, [PREVIOUS]: other.secret, [`${PREVIOUS}_FILE`]: undefined },
  }
}

function readIfThere({ readFile }: Source, path: string): string | undefined {
  try {
    return readFile(path)
  } catch {
    return undefined
  }
}
