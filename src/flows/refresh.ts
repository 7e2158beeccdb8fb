// Refreshing: exchanges a refresh token for its successor and a new access token. To the client all refusals look alike.

import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import type { RefreshResult } from '../observability/metrics.ts'
import type { TokensValue } from '../tokens/graphql.ts'
import type { Services } from './services.ts'
import { tokensOf } from './tokens.ts'

/** Throws `INVALID_REFRESH_TOKEN`, `SERVICE_UNAVAILABLE`. */
export async function refresh(
  services: Services,
  refreshToken: string,
  client: Client,
): Promise<TokensValue> {
  const { sessions, tokens, metrics, report } = services
  let result: RefreshResult = 'error'
  try {
    tokens.requireKey()
    const rotation = await sessions.rotate(refreshToken, client)
    if (rotation.kind === 'refused') {
      result = rotation.reason
      throw new AuthError('INVALID_REFRESH_TOKEN')
    }
    const { kind, userId, email, sessionId } = rotation
    const value = await tokensOf(tokens, { id: userId, email }, rotation)
    result = kind === 'repeated' ? 'repeated' : 'success'
    report({
      type: 'session.refreshed',
      userId,
      sessionId,
      repeated: kind === 'repeated',
      clientAddress: client.address,
    })
    return value
  } finally {
    metrics.countRefresh(result)
  }
}
