// Deleting oneself: the password is checked, and the user, with everything kept about them, is gone in one batch.

import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import { emailKeyOf } from '../users/email.ts'
import { toUserId } from '../users/user.ts'
import { reauthenticate } from './reauthenticate.ts'
import type { Services } from './services.ts'
import { deleteUser } from './store.ts'

/** Returns how many sessions ended. Throws `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export async function deleteMe(
  services: Services,
  input: { viewer: Viewer; password: string },
  client: Client,
): Promise<number> {
  const { clock, database, passwords, sessions, throttle } = services
  await passwords.requireRoom()
  const userId = toUserId(input.viewer.userId)
  const { user, passwordHash, success } = await reauthenticate(
    services,
    { ...input, field: 'password' },
    client,
  )
  const forget = throttle.forgetting(emailKeyOf(user))
  const ended = await deleteUser(database, {
    userId,
    passwordHash,
    now: clock.now(),
    also: (deleted) => [...success(deleted), ...forget(deleted)],
  })
  if (ended === null) throw new AuthError('INVALID_CREDENTIALS', { field: 'password' })
  return sessions.ended(ended, 'user_deleted')
}
