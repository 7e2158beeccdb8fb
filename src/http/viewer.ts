// The viewer of a request: the bearer token of its Authorization header (RFC 6750 §2.1), verified.

import type { Viewer } from '../graphql/context.ts'
import type { EndedSessions } from '../sessions/ended.ts'
import type { AccessTokens } from '../tokens/access-token.ts'

/** The viewer, or null without a valid token of a session in force. Two headers arrive joined by a comma, which no token contains. */
export async function readViewer(
  headers: Headers,
  tokens: AccessTokens,
  ended: EndedSessions,
): Promise<Viewer | null> {
  const [, token] = /^bearer +([^ ]+)$/i.exec(headers.get('authorization') ?? '') ?? []
  const claims = token === undefined ? null : await tokens.verify(token)
  if (!claims || ended.has(claims.sid)) return null
  return { userId: claims.sub, email: claims.email, sessionId: claims.sid }
}

/** Whether a bearer token was sent, whatever it is worth: RFC 6750 §3.1 answers differently then. */
export function sendsToken(headers: Headers): boolean {
  return /^bearer +./i.test(headers.get('authorization') ?? '')
}
