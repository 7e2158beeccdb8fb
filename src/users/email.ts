// What may be an e-mail address, and when two are the same one. Kept as typed, compared by a canonical key: local part
// ASCII, domain in A-labels (UTS 46), both without case. Dots and +tags stay: only the mail provider knows what they mean.

import { domainToASCII } from 'node:url'
import type { InputFault } from '../errors.ts'
import { AuthError } from '../errors.ts'

declare const canonical: unique symbol
/** The canonical form, for comparing and for the unique index. */
export type EmailKey = string & { readonly [canonical]: 'EmailKey' }

/** An address that passed the checks. */
export interface Email {
  /** As typed, less outer spaces. What people are shown, and where mail goes. */
  readonly address: string
  readonly key: EmailKey
}

/** RFC 5321 §4.5.3.1: what a mail server must accept. */
const MAX_OCTETS = 254
const MAX_LOCAL_OCTETS = 64

// Checked before any normalisation: the Kelvin sign lower-cases to k, the dotted İ to i.
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
/** At least two labels, the last not a number, so that addresses of hosts fall out. */
const A_LABELS = new RegExp(`^(?:${LABEL}\\.)+(?!\\d+$)${LABEL}$`)
/** Invisible or breaking: control and format characters, lone surrogates, spaces. UTS 46 drops the other invisible ones. */
const NEVER = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u
/** What `domainToASCII` would decode, cut off, or read as something other than a domain. */
const NOT_IN_DOMAIN = /[%/:[\]\\?#@]/

/** Reads an address that is being registered. Throws `INVALID_EMAIL` with the reason. */
export function parseEmail(text: string): Email {
  const result = readEmail(text)
  if (typeof result === 'string')
    throw new AuthError('INVALID_EMAIL', { field: 'email', reason: result })
  return result
}

/** The canonical form of a user's address; of what an operator has written over it by hand, the text itself. */
export function emailKeyOf({ email }: { readonly email: string }): EmailKey {
  const result = readEmail(email)
  // Nothing is counted under it, but it must not keep anybody from deleting the user.
  return typeof result === 'string' ? (email as EmailKey) : result.key
}

/** The address, or why it is not one. */
export function readEmail(text: string): Email | InputFault {
  const address = trimSpaces(text)
  const at = address.lastIndexOf('@')
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)]
  // Before the domain is normalised: sorting the combining marks of a long one takes quadratic time.
  if (Buffer.byteLength(address) > MAX_OCTETS) return 'too_long'
  if (at < 1 || NEVER.test(address) || !LOCAL_PART.test(local) || NOT_IN_DOMAIN.test(domain))
    return 'malformed'
  const ascii = domainToASCII(domain)
  if (!A_LABELS.test(ascii)) return 'malformed'
  const key = `${local.toLowerCase()}@${ascii}`
  if (local.length > MAX_LOCAL_OCTETS || key.length > MAX_OCTETS) return 'too_long'
  return { address, key: key as EmailKey }
}

/** Only spaces: a line break at the end is an attack or an accident, not an outer space. */
function trimSpaces(text: string): string {
  let [start, end] = [0, text.length]
  while (text[start] === ' ') start += 1
  while (text[end - 1] === ' ') end -= 1
  return text.slice(start, end)
}
