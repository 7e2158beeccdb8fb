// The password once more of somebody who is logged in already, before what a stolen token must not be enough for
// (ASVS 7.5.1, re-authentication).

import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { Confirmed } from '../users/confirmation.ts'
import type { Services } from './services.ts'

/** The viewer's user. Throws what `Users.confirm` throws; `INVALID_CREDENTIALS` is reported, and gets the argument's name. */
export async function reauthenticate(
  { users, report }: Services,
  { viewer, password, field }: { viewer: Viewer; password: string; field: string },
  client: Client,
): Promise<Confirmed> {
  try {
    return await users.confirm(viewer, password, client)
  } catch (error) {
    if (error instanceof AuthError && error.code === 'INVALID_CREDENTIALS') {
      const { userId, sessionId } = viewer
      report({
        type: 'reauthentication.failed',
        userId,
        sessionId,
        clientAddress: client.address,
      })
      throw new AuthError('INVALID_CREDENTIALS', { field })
    }
    throw error
  }
}
