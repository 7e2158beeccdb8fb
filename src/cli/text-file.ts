// A file that a person has made or copied, read as text.

import { readFileSync } from 'node:fs'
import { ConfigFaults } from '../config.ts'
import { NotText, textOf } from '../platform/utf8.ts'

/**
 * The text of a file, less outer spaces. Throws `ConfigFaults` with `fault` if it is not text: nearly all raw bytes would become
 * the same character, and one such key would open what another one sealed.
 */
export function readTextFile(path: string, fault: string): string {
  try {
    return textOf(readFileSync(path)).trim()
  } catch (error) {
    if (!(error instanceof NotText)) throw error
    throw new ConfigFaults([fault])
  }
}
