// Changing the password: the current one is checked, every session ends, and one new session remains.

import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { TokensValue } from '../tokens/graphql.ts'
import { emailKeyOf } from '../users/email.ts'
import { toUserId } from '../users/user.ts'
import { reauthenticate } from './reauthenticate.ts'
import type { Services } from './services.ts'
import { tokensOf } from './session.ts'
import { replacePassword } from './store.ts'

/** Throws `WEAK_PASSWORD`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export async function changePassword(
  services: Services,
  input: { viewer: Viewer; currentPassword: string; newPassword: string },
  client: Client,
): Promise<TokensValue> {
  const { policy, clock, database, passwords, sessions, throttle, tokens } = services
  const userId = toUserId(input.viewer.userId)
  await passwords.requireRoom()
  const chosen = await policy.choose(input.newPassword, {
    field: 'newPassword',
    email: input.viewer.email,
  })
  const {
    user,
    passwordHash: from,
    success,
  } = await reauthenticate(
    services,
    { viewer: input.viewer, password: input.currentPassword, field: 'currentPassword' },
    client,
  )
  const to = await passwords.hash(chosen)

  const { row: session, opened } = sessions.prepare(userId, client)
  const forget = throttle.forgetting(emailKeyOf(user), client.address)
  const ended = await replacePassword(database, {
    userId,
    from,
    to,
    session,
    now: clock.now(),
    also: (changed) => [...success(changed), ...forget(changed)],
  })
  // Somebody else changed it while we were hashing, or disabled the user: what was checked holds no longer.
  if (ended === null) throw new AuthError('INVALID_CREDENTIALS', { field: 'currentPassword' })
  sessions.ended(ended, 'password_changed')
  return await tokensOf(tokens, user, opened)
}
