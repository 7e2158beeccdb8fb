// What may be a password: well-formed text of a bounded length, in NFC (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2).
// No composition rules, no trimming, no folding: only what looks the same is made the same.

import { AuthError } from '../errors.ts'

declare const checked: unique symbol
/** Text that may be hashed: NFC, well-formed, at most 1,024 code points, not empty. */
export type Password = string & { readonly [checked]: 'Password' }

/** The longest password, in code points. The hash is indifferent to length; parsing and memory are not. */
const MAX_LENGTH = 1_024

/** In UTF-16 units: NFC makes one code point of at most four, each of at most two units. */
const MAX_UNITS = 8 * MAX_LENGTH
/** More combining marks in a row than any writing has (UAX #15 §13, Stream-Safe Text Format). To sort them takes quadratic time. */
const ENDLESS_MARKS = /\p{M}{31}/u

/** Reads a password that is being chosen. Throws `WEAK_PASSWORD` with the reason; `field` names the argument. */
export function parsePassword(text: string, rules: { minLength: number; field: string }): Password {
  const { field, minLength } = rules
  const result = readNfc(text)
  if (result === 'malformed') throw new AuthError('WEAK_PASSWORD', { field, reason: result })
  if (result === 'too_long')
    throw new AuthError('WEAK_PASSWORD', { field, reason: result, maxLength: MAX_LENGTH })
  if (result.length < minLength)
    throw new AuthError('WEAK_PASSWORD', { field, reason: 'too_short', minLength })
  return result.password as Password
}

/** Reads a password that is being tried, or null when nobody can have it. It may be older than today's shortest length. */
export function readPassword(text: string): Password | null {
  const result = readNfc(text)
  return typeof result === 'object' && result.length > 0 ? (result.password as Password) : null
}

/** The text in NFC and its length, or why nobody can have it; where that shows beforehand, nothing is normalised. */
function readNfc(text: string): { password: string; length: number } | 'malformed' | 'too_long' {
  if (text.length > MAX_UNITS) return 'too_long'
  // Lone surrogates all become the same replacement character when encoded: two different passwords, one hash.
  if (!text.isWellFormed() || ENDLESS_MARKS.test(text)) return 'malformed'
  const password = text.normalize('NFC')
  const { length } = [...password]
  return length > MAX_LENGTH ? 'too_long' : { password, length }
}
