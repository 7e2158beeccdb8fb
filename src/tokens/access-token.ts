// Access tokens: short signed JWTs, never stored, verified without the database. The algorithm is fixed by the key,
// not by the token (RFC 8725 §3.1). Messages of the library hold the token; none leaves this file.

import { sign, verify } from 'hono/jwt'
import type { KeyRing } from '../keys/keys.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import { createRecent } from '../platform/recent.ts'
import type { AccessClaims } from './claims.ts'
import { checkClaims } from './claims.ts'
import type { Compact } from './compact.ts'
import { readCompact } from './compact.ts'

/** Issues and verifies access tokens. */
export interface AccessTokens {
  /** A token for one session of a user. `expiresIn`: seconds. */
  issue(subject: TokenSubject): Promise<{ accessToken: string; expiresIn: number }>
  /** The claims of a token that is ours and in force, else null: why not is nobody's business. */
  verify(token: string): Promise<AccessClaims | null>
}

/** Whom a token speaks of. */
export interface TokenSubject {
  readonly userId: string
  readonly email: string
  readonly sessionId: string
}

/** What tokens are made with. `ttl`: seconds. */
export interface AccessTokenOptions {
  readonly keys: Pick<KeyRing, 'current' | 'find'>
  readonly clock: Clock
  readonly random: Random
  readonly issuer: string
  readonly audience: string
  readonly ttl: number
}

/** The members a header must have, and no others: `jwk`, `jku`, `x5c`, `crit` and friends are never even read. */
const HEADER_MEMBERS = 'alg,kid,typ'

/**
 * How many tokens whose signature was checked are remembered, by their exact text: one with another character is
 * another token. Some 10 MB at most. Whether a session ended is not remembered here but asked each time.
 */
const VERIFIED_TOKENS = 5_000

/** Makes the service. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { keys, clock, random, issuer, audience, ttl } = options
  const verified = createRecent<Compact>(VERIFIED_TOKENS)
  const seconds = () => Math.floor(clock.now() / 1_000)

  return {
    async issue({ userId, email, sessionId }) {
      const { kid, algorithm, privateJwk } = keys.current()
      const now = seconds()
      const claims: AccessClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        email,
        email_verified: false,
        sid: sessionId,
        jti: random.id('jti'),
        iat: now,
        exp: now + ttl,
        token_use: 'access',
      }
      const key = { ...privateJwk, kid, alg: algorithm }
      return { accessToken: await sign({ ...claims }, key, algorithm), expiresIn: ttl }
    },

    async verify(token) {
      // A signature that was valid stays valid; the key, the claims and the time are judged at every use.
      const known = verified.get(token)
      const compact = known ?? readCompact(token)
      if (!compact) return null
      const key = keyFor(compact.header)
      if (!key || !(known || (await hasValidSignature(token, key)))) return null
      const claims = checkClaims(compact.payload, { issuer, audience, now: seconds() })
      if (claims && !known) verified.set(token, compact)
      return claims
    },
  }

  function keyFor(header: Readonly<Record<string, unknown>>) {
    if (Object.keys(header).sort().join() !== HEADER_MEMBERS) return null
    if (header['typ'] !== 'JWT' || typeof header['kid'] !== 'string') return null
    const key = keys.find(header['kid'])
    return key && key.alg === header['alg'] ? key : null
  }

  async function hasValidSignature(
    token: string,
    key: NonNullable<ReturnType<typeof keyFor>>,
  ): Promise<boolean> {
    try {
      await verify(token, { ...key }, { alg: key.alg, exp: false, nbf: false, iat: false })
      return true
    } catch {
      return false
    }
  }
}
