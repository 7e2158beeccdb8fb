// Verifies Munjigi's access tokens. What a token must be is fixed here; nothing is taken from the token itself.

import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

/** Codes that speak of the JWKS, not of the token. */
const NO_KEYS = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'])

/** @typedef {import('jose').JWTPayload & { sub: string, email: string }} Claims */

/**
 * Returns a function from a token to its claims, or to null if the token is not ours or not in force.
 * It throws only when the keys cannot be had, which says nothing about the token.
 * @param {{ issuer: string, audience: string }} options
 * @returns {(token: string) => Promise<Claims | null>}
 */
export function createVerifier({ issuer, audience }) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
    cacheMaxAge: 300_000,
    // A stranger chooses the `kid`: an unknown one must not cost a request each time.
    cooldownDuration: 30_000,
    timeoutDuration: 5_000,
  })
  const required = {
    algorithms: ['ES256'],
    issuer,
    audience,
    requiredClaims: ['sub', 'exp'],
    clockTolerance: 5,
  }

  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys, required)
      return payload.token_use === 'access' ? /** @type {Claims} */ (payload) : null
    } catch (error) {
      if (error instanceof errors.JOSEError && !NO_KEYS.has(error.code)) return null
      throw error
    }
  }
}
