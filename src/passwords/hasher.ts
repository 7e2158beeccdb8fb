// The hash itself: argon2id (RFC 9106), off the event loop. Two engines give the same strings: Bun's own, which is always
// there, and a native package (native-hasher.ts) that needs less than half of the time.

import type { Config } from '../config.ts'
import type { Random } from '../platform/random.ts'
import type { Password } from './password.ts'

declare const made: unique symbol
/** What is stored: parameters, salt and digest. A PHC string of ours, or an imported one (hash-format.ts). */
export type PasswordHash = string & { readonly [made]: 'PasswordHash' }

/** Computes hashes, and checks those of argon2. Both take a noticeable time and `memoryKib` of memory, on purpose. */
export interface Hasher {
  /** As the setting names it; the label of its metrics. */
  readonly engine: Config['passwordEngine']
  readonly cost: HashingCost
  hash(password: Password): Promise<PasswordHash>
  /** The string must be one of argon2, its parameters within bounds. */
  verify(password: Password, hash: string): Promise<boolean>
}

/** A stored hash, read; `argon2` is the engine for those of its kind. */
export interface ReadableHash {
  /** KiB of memory that checking it takes. */
  readonly kib: number
  verify(password: Password, argon2: Pick<Hasher, 'verify'>): Promise<boolean>
}

/** Why a stored hash cannot be checked. */
export type HashFault = 'unknown_format' | 'too_costly'

/** Memory in KiB and passes over it. One lane: Bun knows no other. */
export interface HashingCost {
  readonly memoryKib: number
  readonly passes: number
}

/** Bun's own argon2id. */
export function createBunHasher(cost: HashingCost): Hasher {
  const options = {
    algorithm: 'argon2id',
    memoryCost: cost.memoryKib,
    timeCost: cost.passes,
  } as const
  return {
    engine: 'bun',
    cost,
    hash: async (password) => (await Bun.password.hash(password, options)) as PasswordHash,
    verify: (password, hash) => Bun.password.verify(password, hash),
  }
}

/** Whether a hash is what would be made today. If not, it is made anew when its password is next known. */
export function isCurrent(hash: PasswordHash, cost: HashingCost): boolean {
  return hash.startsWith(headOf(cost))
}

/** A well-formed hash that no password matches and that costs as much to check as a real one of today. */
export function decoyOf(cost: HashingCost, random: Random): PasswordHash {
  // A random digest: finding a password for it is as hard as breaking the hash.
  const [salt, digest] = [random.bytes(32), random.bytes(32)].map((bytes) =>
    bytes.toBase64({ omitPadding: true }),
  )
  return `${headOf(cost)}${salt}$${digest}` as PasswordHash
}

function headOf({ memoryKib, passes }: HashingCost): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$`
}
