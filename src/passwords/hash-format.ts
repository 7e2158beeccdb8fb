// The stored hashes we can check: our own, and those of imported users until their next login. What a string demands is bounded
// before any work: a row must not be able to ask for 10 GiB or for minutes.

import type { Hasher, HashFault, ReadableHash } from './hasher.ts'
import { readBcrypt, readPbkdf2, readScrypt } from './imported.ts'
import type { Password } from './password.ts'

/** The most an argon2 string may ask for: memory, and memory times passes (about three seconds in Bun). */
const ARGON2 = { memoryKib: 256 * 1024, passes: 64, lanes: 16, kibPasses: 2_560 * 1024 } as const

const BASE64 = '[A-Za-z0-9+/]'
const PARAMETER = '([mtp]=\\d{1,9})'
/** Version 1.3 only, which is what every library has written since 2016; `argon2` in front is Django's. */
const ARGON2_STRING = new RegExp(
  `^(?:argon2)?(\\$argon2(?:id|i|d)\\$v=19)\\$${PARAMETER},${PARAMETER},${PARAMETER}(\\$${BASE64}{11,86}\\$${BASE64}{16,172})$`,
)

/** Reads a stored hash, or says why it cannot be checked. */
export function readHash(text: string): ReadableHash | HashFault {
  return (
    readArgon2(text) ?? readBcrypt(text) ?? readScrypt(text) ?? readPbkdf2(text) ?? 'unknown_format'
  )
}

/** KiB of memory that checking a stored hash takes. */
export function memoryOf(hash: string): number {
  const readable = readHash(hash)
  return typeof readable === 'string' ? 0 : readable.kib
}

/** Checks a password against a stored hash. Null: the hash cannot be read, or asks for too much. */
export async function verifyHash(
  argon2: Pick<Hasher, 'verify'>,
  password: Password,
  hash: string,
): Promise<boolean | null> {
  const readable = readHash(hash)
  if (typeof readable === 'string') return null
  try {
    return await readable.verify(password, argon2)
  } catch {
    // A string of the right shape that its library cannot decode.
    return null
  }
}

function readArgon2(text: string): ReadableHash | HashFault | null {
  const [, kind, first, second, third, rest] = ARGON2_STRING.exec(text) ?? []
  if (!kind) return null
  // The reference writes m, t, p, argon2 for Node m, p, t and @phc/argon2 t, m, p; Bun's engine reads the first only.
  const parameters = [first, second, third].sort().join()
  const [, memory, lanes, passes] = /^m=(\d+),p=(\d+),t=(\d+)$/.exec(parameters) ?? []
  if (!memory) return 'unknown_format'
  const phc = `${kind}$m=${memory},t=${passes},p=${lanes}${rest}`
  const [kib, t, p] = [Number(memory), Number(passes), Number(lanes)]
  const tooCostly =
    kib > ARGON2.memoryKib || t > ARGON2.passes || p > ARGON2.lanes || kib * t > ARGON2.kibPasses
  if (tooCostly) return 'too_costly'
  return { kib, verify: (password, argon2) => argon2.verify(password, phc) }
}
