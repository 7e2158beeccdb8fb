// Changing the password: the current one is checked, every session ends, and one new session remains.

import type { Client, Viewer } from '../graphql/context.ts'
import type { TokensValue } from '../tokens/graphql.ts'
import { emailKeyOf } from '../users/email.ts'
import { reauthenticate, reauthenticationFailed } from './reauthenticate.ts'
import type { Services } from './services.ts'
import { replacePassword, settling } from './store.ts'
import { tokensOf } from './tokens.ts'

/** Throws `WEAK_PASSWORD`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export async function changePassword(
  services: Services,
  input: { viewer: Viewer; currentPassword: string; newPassword: string },
  client: Client,
): Promise<TokensValue> {
  const { policy, clock, database, passwords, sessions, throttle, tokens } = services
  tokens.requireKey()
  await passwords.requireRoom(client)
  const field = 'newPassword'
  const chosen = policy.choose(input.newPassword, { field, email: input.viewer.email })
  const who = { viewer: input.viewer, password: input.currentPassword, field: 'currentPassword' }
  const { user, passwordHash: from, success } = await reauthenticate(services, who, client)
  const hashChosen = async () => {
    await policy.requireUnbreached(chosen, { field })
    return await passwords.hash(chosen, { client })
  }
  // The new one may be refused, or find no room to be hashed.
  const to = await hashChosen().catch(settling(database, success))

  const { row: session, opened } = sessions.prepare(user.id, client)
  const forget = throttle.forgetting(emailKeyOf(user), client.address)
  const ended = await replacePassword(database, {
    userId: user.id,
    from,
    to,
    session,
    now: clock.now(),
    also: (changed) => [...success(changed), ...forget(changed)],
  }).catch(settling(database, success))
  // While we were hashing, the password was changed or the user disabled: the check no longer holds.
  if (ended === null) throw reauthenticationFailed(services, who, client)
  sessions.announceEnded(ended, 'password_changed')
  return await tokensOf(tokens, user, opened)
}
