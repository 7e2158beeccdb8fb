// The viewer of a request: the bearer token of its Authorization header (RFC 6750 §2.1), verified.

import type { Viewer } from '../graphql/context.ts'
import type { AccessTokens } from '../tokens/access-token.ts'

/** The viewer, or null without a valid token. Two headers arrive joined by a comma, which no token contains. */
export async function readViewer(headers: Headers, tokens: AccessTokens): Promise<Viewer | null> {
  const [, token] = /^bearer +([^ ]+)$/i.exec(headers.get('authorization') ?? '') ?? []
  const claims = token === undefined ? null : await tokens.verify(token)
  return claims && { userId: claims.sub, email: claims.email, sessionId: claims.sid }
}
