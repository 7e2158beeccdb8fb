// The secret that `dev` keeps beside the database, so that nobody has to choose one. The commands of an operator find it
// there too.

import { dirname, join } from 'node:path'
import { Fault, secretText } from '../config/values.ts'
import type { Settings } from '../config.ts'
import { ConfigFaults } from '../config.ts'
import type { Random } from '../platform/random.ts'
import { fileOf } from '../storage/database.ts'
import { keepFile, readKept } from './keep-file.ts'

/** The secret, where it is, and whether this start made it. */
export interface KeptSecret {
  readonly secret: string
  readonly path: string
  readonly isNew: boolean
}

/** The secret that is there, or undefined. Throws `ConfigFaults` if it would not do as the setting. */
export function readKeptSecret(settings: Settings): string | undefined {
  const path = pathOf(settings)
  const secret = readKept(path)
  return secret === null ? undefined : checked(secret, path)
}

/** The secret that is there, or a new one. Two processes at once agree on one. Throws as the above. */
export async function keepSecret(settings: Settings, random: Random): Promise<KeptSecret> {
  const path = pathOf(settings)
  const { text: secret, isNew } = await keepFile(path, random, () => newSecret(random))
  return { secret: checked(secret, path), path, isNew }
}

/** Somebody may have put a typed secret there. */
function checked(secret: string, path: string): string {
  try {
    return secretText(secret)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new ConfigFaults([`${path}${error.message}`])
  }
}

/** 48 random bytes as text. */
export function newSecret(random: Random): string {
  return Buffer.from(random.bytes(48)).toString('base64url')
}

/** A database on a server has no folder here: then the secret is where the database file would be by default. */
function pathOf({ databaseUrl }: Settings): string {
  return join(databaseUrl.startsWith('file:') ? dirname(fileOf(databaseUrl)) : 'data', 'secret')
}
