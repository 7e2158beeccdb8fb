// A compact JWS read strictly, before any cryptography: one spelling for one token. Lenient base64url and JSON
// readers accept many texts for the same token, which defeats whoever compares or revokes tokens by their text.

import { isObject, parseJson } from '../platform/json.ts'
import { textOf } from '../platform/utf8.ts'

/** Header and payload of a well-formed token, not yet verified. */
export interface Compact {
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
}

/** Longest token looked at, in characters. */
const MAX_LENGTH = 8 * 1024

/** Reads a token of three canonical base64url parts whose first two are JSON objects as `JSON.stringify` writes them. */
export function readCompact(token: string): Compact | null {
  if (token.length > MAX_LENGTH) return null
  const parts = token.split('.')
  const [header, payload, signature] = parts.map(decodeCanonical)
  if (parts.length !== 3 || !header || !payload || !signature) return null
  const headerObject = parseCanonical(header)
  const payloadObject = parseCanonical(payload)
  return headerObject && payloadObject && { header: headerObject, payload: payloadObject }
}

/** Refuses padding, white space, other alphabets and stray bits in the last character (RFC 7515 §2, RFC 4648 §3.5). */
function decodeCanonical(part: string): Buffer | null {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return null
  const bytes = Buffer.from(part, 'base64url')
  return bytes.toString('base64url') === part ? bytes : null
}

/** Refuses duplicate members, white space and numbers such as 1e400 by writing the object again and comparing. */
function parseCanonical(bytes: Buffer): Record<string, unknown> | null {
  try {
    const text = textOf(bytes)
    const value = parseJson(text)
    return isObject(value) && JSON.stringify(value) === text ? value : null
  } catch {
    return null
  }
}
