// Identifiers that count, so that failures are readable: usr_1, ses_1.

import type { Random } from '../platform/random.ts'
import { systemRandom } from '../platform/random.ts'

/** Counts per prefix; secrets stay real. */
export function createTestRandom(): Random {
  const counts = new Map<string, number>()
  return {
    id(prefix) {
      const count = (counts.get(prefix) ?? 0) + 1
      counts.set(prefix, count)
      return `${prefix}_${count}`
    },
    bytes: systemRandom.bytes,
    fraction: () => 0.5,
  }
}
