// The secret that `dev` keeps beside the database, so that nobody has to choose one: made once, readable by its owner only.
// The commands of an operator find it there too.

import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Settings } from '../config.ts'
import type { Random } from '../platform/random.ts'
import { fileOf } from '../storage/database.ts'

/** The secret, where it is, and whether this start made it. */
export interface KeptSecret {
  readonly secret: string
  readonly path: string
  readonly isNew: boolean
}

/** The secret that is there, or null. */
export function readKeptSecret(settings: Settings): KeptSecret | null {
  const path = pathOf(settings)
  return existsSync(path) ? { secret: readSecret(path), path, isNew: false } : null
}

/** The secret that is there, or a new one. Two processes at once agree on one. */
export function keepSecret(settings: Settings, random: Random): KeptSecret {
  return readKeptSecret(settings) ?? makeSecret(pathOf(settings), random)
}

/** A database elsewhere has no folder here: then it is where the file would be by default. */
function pathOf({ databaseUrl }: Settings): string {
  return join(databaseUrl.startsWith('file:') ? dirname(fileOf(databaseUrl)) : 'data', 'secret')
}

function makeSecret(path: string, random: Random): KeptSecret {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${Buffer.from(random.bytes(8)).toString('hex')}.tmp`
  const text = `${Buffer.from(random.bytes(48)).toString('base64url')}\n`
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' })
  try {
    // A link appears whole or not at all, and not over an existing file.
    linkSync(draft, path)
    return { secret: readSecret(path), path, isNew: true }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return { secret: readSecret(path), path, isNew: false }
  } finally {
    rmSync(draft, { force: true })
  }
}

function readSecret(path: string): string {
  return readFileSync(path, 'utf8').trim()
}
