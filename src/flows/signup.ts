// Signing up: a new user, logged in at once (one hash, one round trip for the client).
// Without mail it cannot hide that an address is taken; docs/security.md says so.

import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import type { SignupResult } from '../observability/metrics.ts'
import { StorageFault } from '../storage/faults.ts'
import type { TokensValue } from '../tokens/graphql.ts'
import { parseEmail } from '../users/email.ts'
import type { User } from '../users/user.ts'
import type { Thrown } from './result.ts'
import { counted } from './result.ts'
import type { Services } from './services.ts'
import { addUser } from './store.ts'
import { tokensOf } from './tokens.ts'

/** The new user and the tokens of the first session. */
export interface SignedUp {
  readonly user: User
  readonly tokens: TokensValue
}

/** Throws `INVALID_EMAIL`, `WEAK_PASSWORD`, `EMAIL_TAKEN`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export function signup(
  services: Services,
  input: { email: string; password: string },
  client: Client,
): Promise<SignedUp> {
  const { policy, database, users, passwords, sessions, throttle, tokens, metrics, report } =
    services
  return counted<SignedUp, SignupResult>(
    metrics.countSignup,
    { returned: () => 'success', thrown: RESULTS },
    async () => {
      tokens.requireKey()
      await passwords.requireRoom(client)
      const email = parseEmail(input.email)
      const attempt = throttle.signup({ emailKey: email.key, clientAddress: client.address })
      const field = 'password'
      const password = policy.choose(input.password, { field, email: email.address })
      const { user, row } = await users.prepare({ email, password, attempt }, client)
      // Only after the attempt was charged: each check is a question to another service.
      await policy.requireUnbreached(password, { field })
      const { row: session, opened } = sessions.prepare(user.id, client)
      await addUser(database, { user: row, session, also: attempt.succeed() }).catch(explain)
      report({ type: 'user.signed_up', userId: user.id, clientAddress: client.address })
      return { user, tokens: await tokensOf(tokens, user, opened) }
    },
  )
}

/** The unique index decides, so two at once make one user. */
function explain(error: unknown): never {
  if (error instanceof StorageFault && error.code === 'conflict')
    throw new AuthError('EMAIL_TAKEN', { field: 'email' })
  throw error
}

const RESULTS = {
  INVALID_EMAIL: 'invalid_input',
  WEAK_PASSWORD: 'invalid_input',
  EMAIL_TAKEN: 'email_taken',
  RATE_LIMITED: 'rate_limited',
  OVERLOADED: 'overloaded',
  left: 'left',
} as const satisfies Thrown<SignupResult>
