// A file that is made once and then stays: whole or not at all, readable by its owner only. Of two makers one wins.

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { ConfigFaults } from '../config.ts'
import type { Random } from '../platform/random.ts'

/** What the file holds, and whether this call made it. */
export interface KeptFile {
  readonly text: string
  readonly isNew: boolean
}

/** What the file at `path` holds without outer spaces, or null if it is not there. Throws `ConfigFaults` if it is empty. */
export function readKept(path: string): string | null {
  if (!existsSync(path)) return null
  const text = readFileSync(path, 'utf8').trim()
  if (text === '')
    throw new ConfigFaults([`${path}: is empty; put back what it held, or remove it`])
  return text
}

/** Gives the file that is there, or makes it from `make`. Two processes at once agree on one text. */
export function keepFile(path: string, random: Random, make: () => string): KeptFile {
  const found = readKept(path)
  if (found !== null) return { text: found, isNew: false }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = draftOf(path, random)
  const text = make()
  writeDurably(draft, `${text}\n`)
  try {
    // A link appears whole or not at all, and not over an existing file.
    linkSync(draft, path)
    syncFolder(path)
    return { text, isNew: true }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return { text: readKept(path) ?? '', isNew: false }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Makes a file for its owner only, and returns when the disk has it. */
export function writeDurably(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Returns when the disk has the names in the folder of `path`. */
export function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** A name beside `path` that nobody else uses. */
export function draftOf(path: string, random: Random): string {
  return `${path}.${Buffer.from(random.bytes(8)).toString('hex')}.tmp`
}
