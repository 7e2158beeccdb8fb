// Access tokens: short signed JWTs, never stored, verified without the database. The algorithm is fixed by the key,
// not by the token (RFC 8725 §3.1). Messages of the library hold the token; none leaves this file.

import { sign, verify } from 'hono/jwt'
import type { KeyRing } from '../keys/keys.ts'
import type { PublicJwk } from '../keys/signing-key.ts'
import { importPrivate, importPublic } from '../keys/signing-key.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import { createRecent } from '../platform/recent.ts'
import type { AccessClaims } from './claims.ts'
import { checkClaims } from './claims.ts'
import type { Compact } from './compact.ts'
import { readCompact } from './compact.ts'

/** Issues and verifies access tokens. */
export interface AccessTokens {
  /** Call it before writing anything that needs a token afterwards. Throws `SERVICE_UNAVAILABLE` where no key could sign one. */
  requireKey(): void
  /** A token for one session of a user, for no longer than that lasts. `expiresIn`: seconds. */
  issue(subject: TokenSubject): Promise<{ accessToken: string; expiresIn: number }>
  /**
   * The claims of a token that is ours and in force, else null, whatever the reason. No promise for a token that was verified
   * before.
   */
  verify(token: string): AccessClaims | null | Promise<AccessClaims | null>
}

/** Whom a token speaks of. */
export interface TokenSubject {
  readonly userId: string
  readonly email: string
  readonly sessionId: string
  /** Seconds until the session expires: no token should outlive it, for then there is nothing left to end. */
  readonly sessionExpiresIn: number
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
  // Importing a key costs as much as using it. What is remembered of a key that left the ring is never asked for again.
  const signingKey = remembered(importPrivate)
  const verifyingKey = remembered(importPublic)
  const seconds = () => Math.floor(clock.now() / 1_000)

  return {
    requireKey: () => void keys.current(),

    async issue({ userId, email, sessionId, sessionExpiresIn }) {
      const now = seconds()
      // A token that expires at once would be useless: the last one of a session may outlive it by a second.
      const expiresIn = Math.max(1, Math.min(ttl, sessionExpiresIn))
      const claims: AccessClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        email,
        email_verified: false,
        sid: sessionId,
        jti: random.id('jti'),
        iat: now,
        exp: now + expiresIn,
        token_use: 'access',
      }
      const key = keys.current()
      const accessToken = await sign({ ...claims }, await signingKey(key), key.algorithm)
      return { accessToken, expiresIn }
    },

    verify(token) {
      const known = verified.get(token)
      if (!known) return verifyNew(token)
      // A signature that was valid stays valid; the key, the claims and the time are judged at every use.
      return keyFor(known.header) && checkInForce(known)
    },
  }

  async function verifyNew(token: string): Promise<AccessClaims | null> {
    const compact = readOurs(token)
    const key = compact && keyFor(compact.header)
    if (!key || !(await hasValidSignature(token, key))) return null
    const claims = checkInForce(compact)
    if (claims) verified.set(token, compact)
    return claims
  }

  function checkInForce({ payload }: Compact): AccessClaims | null {
    return checkClaims(payload, { issuer, audience, ttl, now: seconds() })
  }

  function keyFor({ kid, alg }: Compact['header']): PublicJwk | null {
    const key = typeof kid === 'string' ? keys.find(kid) : null
    return key && key.alg === alg ? key : null
  }

  async function hasValidSignature(token: string, jwk: PublicJwk): Promise<boolean> {
    try {
      await verify(token, await verifyingKey(jwk), {
        alg: jwk.alg,
        exp: false,
        nbf: false,
        iat: false,
      })
      return true
    } catch {
      return false
    }
  }
}

/** A well-formed token whose header is as we write it. */
function readOurs(token: string): Compact | null {
  const compact = readCompact(token)
  if (!compact || Object.keys(compact.header).sort().join() !== HEADER_MEMBERS) return null
  return compact.header['typ'] === 'JWT' ? compact : null
}

/** Remembers what is made of each key, as long as the key is there. */
function remembered<Key extends object>(
  make: (key: Key) => Promise<CryptoKey>,
): (key: Key) => Promise<CryptoKey> {
  const made = new WeakMap<Key, Promise<CryptoKey>>()
  return (key) => {
    const known = made.get(key)
    if (known) return known
    const making = make(key)
    made.set(key, making)
    making.catch(() => made.delete(key))
    return making
  }
}
