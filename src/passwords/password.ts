// What may be a password: well-formed text of a bounded length, in NFC (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2).
// No composition rules, no trimming, no folding: only what looks the same is made the same.

import { AuthError } from '../errors.ts'

declare const checked: unique symbol
/** Text that may be hashed: NFC, well-formed, at most 1,024 code points, not empty. */
export type Password = string & { readonly [checked]: 'Password' }

/** The longest password, in code points. The hash is indifferent to length; parsing and memory are not. */
export const MAX_LENGTH = 1_024

/** In UTF-16 units: NFC makes one code point of four at most. */
const MAX_UNITS = 8 * MAX_LENGTH
/** More combining marks in a row than any writing has (UAX #15 §13, Stream-Safe Text Format). To sort them costs their square. */
const ENDLESS_MARKS = /\p{M}{31}/u

/** Reads a password that is being chosen. Throws `WEAK_PASSWORD` with the reason; `field` names the argument. */
export function parsePassword(text: string, rules: { minLength: number; field: string }): Password {
  const { field, minLength } = rules
  const tooLong = { field, reason: 'too_long', maxLength: MAX_LENGTH } as const
  const fault = faultOf(text)
  if (fault === 'too_long') throw new AuthError('WEAK_PASSWORD', tooLong)
  if (fault) throw new AuthError('WEAK_PASSWORD', { field, reason: fault })
  const password = text.normalize('NFC')
  const length = codePoints(password)
  if (length < minLength)
    throw new AuthError('WEAK_PASSWORD', { field, reason: 'too_short', minLength })
  if (length > MAX_LENGTH) throw new AuthError('WEAK_PASSWORD', tooLong)
  return password as Password
}

/** Reads a password that is being tried, or null when nobody can have it. Today's length rule may be newer than it. */
export function readPassword(text: string): Password | null {
  if (faultOf(text)) return null
  const password = text.normalize('NFC')
  return password !== '' && codePoints(password) <= MAX_LENGTH ? (password as Password) : null
}

/** What must be known before NFC is asked for. */
function faultOf(text: string): 'malformed' | 'too_long' | undefined {
  if (text.length > MAX_UNITS) return 'too_long'
  // Lone surrogates all become the same replacement character when encoded: two different passwords, one hash.
  return text.isWellFormed() && !ENDLESS_MARKS.test(text) ? undefined : 'malformed'
}

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}
