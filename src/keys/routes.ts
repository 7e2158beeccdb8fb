// GET /.well-known/jwks.json: the public keys, for everybody who verifies our tokens (RFC 7517 §5).

import { Hono } from 'hono'
import type { KeyRing } from './keys.ts'

/** How long others may keep the answer. A new key is published at least this long before it signs. */
const MAX_AGE_SECONDS = 300

/** The JWKS, cacheable: the only answer of ours that is. */
export function keyRoutes(keys: KeyRing): Hono {
  return new Hono().get('/.well-known/jwks.json', (c) =>
    c.json(keys.jwks(), 200, { 'cache-control': `public, max-age=${MAX_AGE_SECONDS}` }),
  )
}
