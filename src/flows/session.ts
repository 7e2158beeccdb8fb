// Opening a session: the tokens that a client gets when it has signed up or logged in.

import type { Random } from '../platform/random.ts'
import type { AccessTokens } from '../tokens/access-token.ts'
import type { User } from '../users/user.ts'

/** A new session's id and its tokens. */
export interface OpenedSession {
  readonly sessionId: string
  readonly tokens: { readonly accessToken: string; readonly expiresIn: number }
}

/** Opens a session for a user. */
export async function openSession(
  tokens: AccessTokens,
  random: Random,
  user: User,
): Promise<OpenedSession> {
  const sessionId = random.id('ses')
  const subject = { userId: user.id, email: user.email, sessionId }
  return { sessionId, tokens: await tokens.issue(subject) }
}
