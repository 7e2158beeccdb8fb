// A file that is made once and then stays: whole or not at all, readable by its owner only. Of two makers one wins.

import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Random } from '../platform/random.ts'

/** What the file holds, and whether this call made it. */
export interface KeptFile {
  readonly text: string
  readonly isNew: boolean
}

/** What the file at `path` holds without outer spaces, or null if it is not there. */
export function readKept(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : null
}

/** Gives the file that is there, or makes it from `make`. Two processes at once agree on one text. */
export function keepFile(path: string, random: Random, make: () => string): KeptFile {
  const found = readKept(path)
  if (found !== null) return { text: found, isNew: false }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = draftOf(path, random)
  writeFileSync(draft, `${make()}\n`, { mode: 0o600, flag: 'wx' })
  try {
    // A link appears whole or not at all, and not over an existing file.
    linkSync(draft, path)
    return { text: readKept(path) ?? '', isNew: true }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return { text: readKept(path) ?? '', isNew: false }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** A name beside `path` that nobody else uses. */
export function draftOf(path: string, random: Random): string {
  return `${path}.${Buffer.from(random.bytes(8)).toString('hex')}.tmp`
}
