// The claims of an access token (RFC 7519 §4.1) and whether they hold now. Our clock judges, not the library's.

import { LONGEST_LIFE } from '../config/values.ts'

/** What an access token says. Times are NumericDate: whole seconds since 1970. */
export interface AccessClaims {
  readonly iss: string
  readonly aud: string
  /** The user's id. */
  readonly sub: string
  /** As the user typed it. */
  readonly email: string
  /** False until mail exists: an application must not take the address for proof of identity. */
  readonly email_verified: boolean
  /** The session's id. */
  readonly sid: string
  readonly jti: string
  readonly iat: number
  readonly exp: number
  /** Tells our kinds of token apart. */
  readonly token_use: 'access'
}

/** What the claims are held against. `now`: whole seconds since 1970. */
export interface Expectations {
  readonly issuer: string
  readonly audience: string
  readonly now: number
  /** How long our tokens live, in seconds. A shortened setting holds for tokens issued before, too. */
  readonly ttl: number
}

/** How far the clocks of two replicas may differ, in seconds. */
export const LEEWAY = 5

/** The claims if every one is there, of its type, and in force; else null. Unknown claims are ignored (RFC 7519 §4). */
export function checkClaims(
  payload: Readonly<Record<string, unknown>>,
  expected: Expectations,
): AccessClaims | null {
  const { iss, aud, sub, email, email_verified, sid, jti, iat, exp, nbf, token_use } = payload
  if (iss !== expected.issuer || aud !== expected.audience || token_use !== 'access') return null
  if (!isText(sub) || !isText(email) || !isText(sid) || !isText(jti)) return null
  if (typeof email_verified !== 'boolean') return null
  if (!isTime(iat) || !isTime(exp) || (nbf !== undefined && !isTime(nbf))) return null
  if (exp <= iat || exp - iat > LONGEST_LIFE) return null
  if (Math.min(exp, iat + expected.ttl) + LEEWAY <= expected.now) return null
  if (iat - LEEWAY > expected.now || (nbf !== undefined && nbf - LEEWAY > expected.now)) return null
  return { iss, aud, sub, email, email_verified, sid, jti, iat, exp, token_use }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
