// Deleting oneself: the password is checked, and the user, with everything kept about them, is gone in one batch.

import { AuthError } from '../errors.ts'
import type { Viewer } from '../graphql/context.ts'
import { toUserId } from '../users/user.ts'
import type { Services } from './services.ts'
import { deleteUser } from './store.ts'

/** Returns how many sessions ended. Throws `INVALID_CREDENTIALS`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export async function deleteMe(
  services: Services,
  input: { viewer: Viewer; password: string },
): Promise<number> {
  const { clock, database, users, sessions } = services
  const userId = toUserId(input.viewer.userId)
  const { passwordHash } = await users.confirm(userId, input.password)
  const ended = await database.write((db) =>
    deleteUser(db, { userId, passwordHash, now: clock.now() }),
  )
  if (ended === null) throw new AuthError('INVALID_CREDENTIALS')
  return sessions.ended(userId, ended, 'user_deleted')
}
