// The key ring: which key signs, which keys verify, what the JWKS shows. Loaded once; every replica has the same.

import type { SigningAlgorithm } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../storage/database.ts'
import { seal, unseal } from './seal.ts'
import type { PublicJwk, SigningKey } from './signing-key.ts'
import { generateSigningKey } from './signing-key.ts'
import type { SigningKeyRow } from './store.ts'
import { insertFirstKey, selectKeys } from './store.ts'

/** The signing keys of the installation, in memory. */
export interface KeyRing {
  /** The key that signs. */
  current(): SigningKey
  /** The public key with this id, or null. Never asks the database: a stranger chooses the id. */
  find(kid: string): PublicJwk | null
  /** RFC 7517 §5. */
  jwks(): { readonly keys: readonly PublicJwk[] }
  /** True if the signing key was made by this start. */
  readonly isNew: boolean
}

/** A key in the database does not open with the secret at hand. */
export class WrongSecret extends Error {
  override readonly name = 'WrongSecret'
  constructor() {
    super('the signing key in the database was sealed with another MUNJIGI_SECRET')
  }
}

/** What a key ring is made from. `sealingKey`: 32 bytes. */
export interface KeyRingOptions {
  readonly database: Database
  readonly clock: Clock
  readonly sealingKey: Uint8Array
  readonly algorithm: SigningAlgorithm
}

/** Loads the keys and makes the first one where there is none. Throws `WrongSecret`. */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { database, algorithm } = options
  const before = await database.read(selectKeys)
  const found = before.some((row) => row.algorithm === algorithm)
  const made = found ? null : await makeFirstKey(options)
  const rows = found ? before : await database.read(selectKeys)

  const current = openCurrent(rows, options)
  const published = rows.map((row) => JSON.parse(row.publicJwk) as PublicJwk)
  const byKid = new Map(published.map((jwk) => [jwk.kid, jwk]))
  return {
    current: () => current,
    find: (kid) => byKid.get(kid) ?? null,
    jwks: () => ({ keys: published }),
    isNew: current.kid === made,
  }
}

/** Offers a key and returns its id; another replica's may have been first. */
async function makeFirstKey({
  database,
  clock,
  sealingKey,
  algorithm,
}: KeyRingOptions): Promise<string> {
  const key = await generateSigningKey(algorithm, clock.now())
  await database.write((db) =>
    insertFirstKey(db, {
      kid: key.kid,
      algorithm,
      publicJwk: JSON.stringify(key.publicJwk),
      sealedPrivateJwk: seal(JSON.stringify(key.privateJwk), sealingKey, key.kid),
      createdAt: key.createdAt,
    }),
  )
  return key.kid
}

function openCurrent(
  rows: readonly SigningKeyRow[],
  { sealingKey, algorithm }: KeyRingOptions,
): SigningKey {
  const row = rows.find((candidate) => candidate.algorithm === algorithm)
  if (!row) throw new Error('the key that was just made is not there')
  const opened = unseal(row.sealedPrivateJwk, sealingKey, row.kid)
  if (opened === null) throw new WrongSecret()
  return {
    kid: row.kid,
    algorithm,
    publicJwk: JSON.parse(row.publicJwk) as PublicJwk,
    privateJwk: JSON.parse(opened) as JsonWebKey,
    createdAt: row.createdAt,
  }
}
