// Checks the password again of somebody who is logged in already, before anything that a stolen token must not suffice for
// (ASVS 7.5.1, re-authentication).

import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { Confirmed } from '../users/confirmation.ts'
import type { Services } from './services.ts'

/** Whose password it is said to be, and the argument that it came in. */
export interface Reauthentication {
  readonly viewer: Viewer
  readonly password: string
  readonly field: string
}

/** The viewer's user. Throws what `Users.confirm` throws, and `INVALID_CREDENTIALS`, which is reported. */
export async function reauthenticate(
  services: Services,
  who: Reauthentication,
  client: Client,
): Promise<Confirmed> {
  const confirmed = await services.users.confirm(who.viewer, who.password, client)
  if (!confirmed) throw reauthenticationFailed(services, who, client)
  return confirmed
}

/** The error for a password that is wrong, or was changed meanwhile. Reports it, too. */
export function reauthenticationFailed(
  { report }: Services,
  { viewer: { userId, sessionId }, field }: Reauthentication,
  client: Client,
): AuthError {
  report({ type: 'reauthentication.failed', userId, sessionId, clientAddress: client.address })
  return new AuthError('INVALID_CREDENTIALS', { field })
}
