// GET /.well-known/jwks.json: the public keys, for everybody who verifies our tokens (RFC 7517 §5).

import { Hono } from 'hono'
import type { KeyRing } from './keys.ts'

/** The JWKS, cacheable for `maxAge` seconds: the only answer of ours that is. */
export function keyRoutes(keys: KeyRing, maxAge: number): Hono {
  return new Hono().get('/.well-known/jwks.json', (c) =>
    c.json(keys.jwks(), 200, { 'cache-control': `public, max-age=${maxAge}` }),
  )
}
