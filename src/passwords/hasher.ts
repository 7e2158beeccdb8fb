// The hash itself: argon2id (RFC 9106) by Bun.password, off the event loop. A hasher is small so that another engine,
// or the reader of imported formats, can stand in its place.

import type { Random } from '../platform/random.ts'
import type { Password } from './password.ts'

declare const made: unique symbol
/** A PHC string: parameters, salt and digest. */
export type PasswordHash = string & { readonly [made]: 'PasswordHash' }

/** Computes and checks hashes. Both take a noticeable time and about `memoryKib` of memory, on purpose. */
export interface Hasher {
  /** The label of its metrics. */
  readonly engine: string
  hash(password: Password): Promise<PasswordHash>
  /** False also for a hash that cannot be read. */
  verify(password: Password, hash: PasswordHash): Promise<boolean>
  /** A well-formed hash that no password matches and that costs as much to check as a real one. */
  decoy(): PasswordHash
}

/** Memory in KiB and passes over it. One lane: Bun knows no other. */
export interface HashingCost {
  readonly memoryKib: number
  readonly passes: number
}

/** OWASP Password Storage: 19 MiB, two passes. */
export const DEFAULT_COST: HashingCost = { memoryKib: 19_456, passes: 2 }

/** Bun's own argon2id. */
export function createBunHasher(cost: HashingCost, random: Random): Hasher {
  const options = {
    algorithm: 'argon2id',
    memoryCost: cost.memoryKib,
    timeCost: cost.passes,
  } as const
  return {
    engine: 'bun',
    hash: async (password) => (await Bun.password.hash(password, options)) as PasswordHash,
    async verify(password, hash) {
      try {
        return await Bun.password.verify(password, hash)
      } catch {
        return false
      }
    },
    decoy() {
      // A random digest: finding a password for it is as hard as breaking the hash.
      const [salt, digest] = [random.bytes(32), random.bytes(32)].map(unpaddedBase64)
      return `$argon2id$v=19$m=${cost.memoryKib},t=${cost.passes},p=1$${salt}$${digest}` as PasswordHash
    },
  }
}

function unpaddedBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}
