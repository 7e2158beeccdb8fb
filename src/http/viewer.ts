// The viewer of a request: the bearer token of its Authorization header (RFC 6750 §2.1), and the user that its claims name.

import type { Viewer } from '../graphql/context.ts'
import type { EndedSessions } from '../sessions/ended.ts'
import type { AccessClaims } from '../tokens/claims.ts'

/**
 * The bearer token that was sent, whatever it is worth; undefined if none was (RFC 6750 §3.1 answers differently then).
 * Two headers arrive joined by a comma, which no token contains.
 */
export function readBearer(headers: Headers): string | undefined {
  return /^bearer +(.+)$/i.exec(headers.get('authorization') ?? '')?.[1]
}

/** The viewer that valid claims name, or null when there are none, or their session has ended. */
export function toViewer(claims: AccessClaims | null, ended: EndedSessions): Viewer | null {
  if (!claims || ended.has(claims.sid)) return null
  return { userId: claims.sub, email: claims.email, sessionId: claims.sid }
}
