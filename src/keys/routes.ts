// GET /.well-known/jwks.json: the public keys, for everybody who verifies our tokens (RFC 7517 §5).

import { Hono } from 'hono'
import type { KeyRing } from './keys.ts'

/**
 * The JWKS, cacheable for `maxAge` seconds; no other answer of ours is. Pages of any origin may read it: it is public. Without a
 * key it throws `SERVICE_UNAVAILABLE`, since an empty set would be cached.
 */
export function keyRoutes(keys: KeyRing, maxAge: number): Hono {
  return new Hono().get('/.well-known/jwks.json', (c) => {
    keys.current()
    const body = JSON.stringify(keys.jwks())
    return c.body(body, 200, {
      'content-type': 'application/json',
      // Set for HEAD, whose answer has no body to be measured.
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': `public, max-age=${maxAge}`,
      'access-control-allow-origin': '*',
    })
  })
}
