// What an operator decides about a user: each ends their sessions in the same batch. No password is asked for: whoever can
// run the command line owns the database.

import { AuthError } from '../errors.ts'
import type { EndedSession } from '../sessions/store.ts'
import { emailKeyOf } from '../users/email.ts'
import type { User } from '../users/user.ts'
import type { Services } from './services.ts'
import { deleteUser, disableUser, forcePassword } from './store.ts'

/** Gives a user a new password. Returns how many sessions ended. Throws `WEAK_PASSWORD`, `NOT_FOUND`. */
export async function setPassword(services: Services, user: User, text: string): Promise<number> {
  const { policy, clock, database, passwords, sessions, throttle } = services
  const field = 'password'
  const chosen = policy.choose(text, { field, email: user.email })
  await policy.requireUnbreached(chosen, { field })
  const to = await passwords.hash(chosen)
  const also = throttle.forgetting(emailKeyOf(user))
  const ended = await forcePassword(database, { userId: user.id, to, now: clock.now(), also })
  return sessions.announceEnded(orNotFound(ended), 'password_changed')
}

/** Keeps a user from logging in. Returns how many sessions ended. Throws `NOT_FOUND`. */
export async function disable(
  { clock, database, sessions }: Services,
  user: User,
): Promise<number> {
  const ended = await disableUser(database, { userId: user.id, now: clock.now() })
  return sessions.announceEnded(orNotFound(ended), 'user_disabled')
}

/** Deletes a user and everything kept about them. Returns how many sessions ended. Throws `NOT_FOUND`. */
export async function remove(services: Services, user: User): Promise<number> {
  const { clock, database, sessions, throttle } = services
  const also = throttle.forgetting(emailKeyOf(user))
  const ended = await deleteUser(database, { userId: user.id, now: clock.now(), also })
  return sessions.announceEnded(orNotFound(ended), 'user_deleted')
}

/** The user may have gone while the operator was typing. */
function orNotFound(ended: readonly EndedSession[] | null): readonly EndedSession[] {
  if (ended === null) throw new AuthError('NOT_FOUND')
  return ended
}
