// Deleting oneself: the password is checked, and the user, with everything kept about them, is gone in one batch.

import type { Client, Viewer } from '../graphql/context.ts'
import { emailKeyOf } from '../users/email.ts'
import { reauthenticate, reauthenticationFailed } from './reauthenticate.ts'
import type { Services } from './services.ts'
import { deleteUser, settling } from './store.ts'

/** Returns how many sessions ended. Throws `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export async function deleteMe(
  services: Services,
  input: { viewer: Viewer; password: string },
  client: Client,
): Promise<number> {
  const { clock, database, passwords, sessions, throttle } = services
  await passwords.requireRoom(client)
  const who = { ...input, field: 'password' }
  const { user, passwordHash, success } = await reauthenticate(services, who, client)
  const forget = throttle.forgetting(emailKeyOf(user))
  const ended = await deleteUser(database, {
    userId: user.id,
    passwordHash,
    now: clock.now(),
    also: (deleted) => [...success(deleted), ...forget(deleted)],
  }).catch(settling(database, success))
  if (ended === null) throw reauthenticationFailed(services, who, client)
  return sessions.announceEnded(ended, 'user_deleted')
}
