// Identifiers that count, so that failures are readable: usr_1, ses_1.

import type { Random } from '../platform/random.ts'
import { systemRandom } from '../platform/random.ts'

/** Counts per prefix, from a number on; secrets stay real. */
export function createTestRandom(first = 1): Random {
  const counts = new Map<string, number>()
  return {
    id(prefix) {
      const count = counts.get(prefix) ?? first
      counts.set(prefix, count + 1)
      return `${prefix}_${count}`
    },
    bytes: systemRandom.bytes,
    fraction: () => 0.5,
  }
}
