// A file that is made once and then stays: whole or not at all, readable by its owner only. Of two makers one wins.

import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigFaults } from '../config.ts'
import { writeNewFile } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { systemCode } from '../platform/system-error.ts'
import { readTextFile } from './text-file.ts'

/** What the file holds, and whether this call made it. */
export interface KeptFile {
  readonly text: string
  readonly isNew: boolean
}

/** What the file at `path` holds, less outer spaces, or null if there is none. Throws `ConfigFaults` if it is empty, or not text. */
export function readKept(path: string): string | null {
  if (!existsSync(path)) return null
  const text = readTextFile(path, `${path}: is not text; put back what it held`)
  if (text === '')
    throw new ConfigFaults([`${path}: is empty; put back what it held, or remove it`])
  return text
}

/** Reads the file if it is there, else makes it from `make`. Two processes at once agree on one text. */
export async function keepFile(
  path: string,
  random: Random,
  make: () => string,
): Promise<KeptFile> {
  const found = readKept(path)
  if (found !== null) return { text: found, isNew: false }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const text = make()
  try {
    await writeNewFile(path, random, (file) => file.writeFile(`${text}\n`))
    return { text, isNew: true }
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    return { text: readKept(path) ?? '', isNew: false }
  }
}
