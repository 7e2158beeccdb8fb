// The tokens that a client gets with a session: an access token beside the refresh token.

import type { OpenedSession } from '../sessions/sessions.ts'
import type { AccessTokens } from '../tokens/access-token.ts'
import type { TokensValue } from '../tokens/graphql.ts'

/** Both tokens of a session. */
export async function tokensOf(
  tokens: AccessTokens,
  user: { readonly id: string; readonly email: string },
  { sessionId, refreshToken, refreshExpiresIn }: OpenedSession,
): Promise<TokensValue> {
  const access = await tokens.issue({
    userId: user.id,
    email: user.email,
    sessionId,
    sessionExpiresIn: refreshExpiresIn,
  })
  return { ...access, refreshToken, refreshExpiresIn }
}
