// argon2id by @node-rs/argon2, an optional package with a library for each system: the same strings as Bun's engine, at
// less than half of the CPU. Loaded only where the setting asks for it, and then its absence is an error.

import { ConfigFaults } from '../config.ts'
import type { Random } from '../platform/random.ts'
import type { Hasher, HashingCost, PasswordHash } from './hasher.ts'

/** As long as the salts of Bun's engine. */
const SALT_BYTES = 32

/** Loads the native engine. Throws `ConfigFaults` where the package is not installed or does not load. */
export async function loadNativeHasher(
  cost: HashingCost,
  random: Random,
  load = () => import('@node-rs/argon2'),
): Promise<Hasher> {
  const argon2 = await loaded(load)
  const options = { memoryCost: cost.memoryKib, timeCost: cost.passes, parallelism: 1 }
  return {
    engine: 'native',
    cost,
    hash: async (password) =>
      (await argon2.hash(password, {
        ...options,
        salt: random.bytes(SALT_BYTES),
      })) as PasswordHash,
    verify: (password, hash) => argon2.verify(hash, password),
  }
}

async function loaded<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch {
    throw new ConfigFaults([
      'MUNJIGI_PASSWORD_ENGINE: native needs the package @node-rs/argon2, which is not installed or does not load on this system',
    ])
  }
}
