// Logging in. A client that presents a valid token is told so and nothing else happens: no password is checked, no
// session opened. Every failure has one code and one message; only the log knows why.

import type { Language } from '../errors.ts'
import { AuthError } from '../errors.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { LoginResult } from '../observability/metrics.ts'
import type { Password } from '../passwords/password.ts'
import { readPassword } from '../passwords/password.ts'
import type { OpenedSession } from '../sessions/sessions.ts'
import type { TokensValue } from '../tokens/graphql.ts'
import type { Email } from '../users/email.ts'
import { readEmail } from '../users/email.ts'
import type { User } from '../users/user.ts'
import type { Refused } from '../users/users.ts'
import type { Thrown } from './result.ts'
import { counted } from './result.ts'
import type { Services } from './services.ts'
import { settling } from './store.ts'
import { tokensOf } from './tokens.ts'

/** Logged in now. */
export interface LoggedIn {
  readonly kind: 'LoggedIn'
  readonly user: User
  readonly tokens: TokensValue
}

/** Logged in before: the e-mail is that of the token presented. */
export interface AlreadyLoggedIn {
  readonly kind: 'AlreadyLoggedIn'
  readonly email: string
  readonly message: string
}

interface LoginInput {
  readonly email: string
  readonly password: string
  /** The user of the token presented, if there is a valid one. */
  readonly viewer: Viewer | null
}

/** Throws `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `SERVICE_UNAVAILABLE`. */
export function login(
  services: Services,
  input: LoginInput,
  client: Client,
): Promise<LoggedIn | AlreadyLoggedIn> {
  return counted<LoggedIn | AlreadyLoggedIn, LoginResult>(
    services.metrics.countLogin,
    { returned: resultOf, thrown: RESULTS },
    async () =>
      input.viewer
        ? alreadyLoggedIn(services, input.viewer, client)
        : await loginByPassword(services, input, client),
  )
}

function alreadyLoggedIn(
  { config, report }: Services,
  viewer: Viewer,
  client: Client,
): AlreadyLoggedIn {
  report({ type: 'login.already_logged_in', userId: viewer.userId, clientAddress: client.address })
  const message = alreadyLoggedInMessage(viewer.email, config.messageLanguage)
  return { kind: 'AlreadyLoggedIn', email: viewer.email, message }
}

/** The text of the contract, to the character: its particle and spacing are deliberate. */
export function alreadyLoggedInMessage(email: string, language: Language): string {
  return language === 'en' ? `Already logged in as ${email}.` : `이미 ${email}로 로그인 하였습니다.`
}

async function loginByPassword(
  services: Services,
  input: LoginInput,
  client: Client,
): Promise<LoggedIn> {
  const { passwords, tokens, report, emailDigest } = services
  tokens.requireKey()
  await passwords.requireRoom(client)
  const email = readEmail(input.email)
  const password = readPassword(input.password)
  // Nobody can have such an e-mail or password: no hash is computed, and the answer is the same.
  if (typeof email === 'string' || password === null) {
    report({ type: 'login.failed', reason: 'malformed', clientAddress: client.address })
    throw new AuthError('INVALID_CREDENTIALS')
  }

  const outcome = await openSession(services, { email, password }, client)
  if (outcome.kind === 'refused') {
    const { reason, userId } = outcome
    // The digest only where there is no id: a line with both would link them.
    const who = userId ? { userId } : { emailDigest: emailDigest(email.key) }
    report({ type: 'login.failed', reason, ...who, clientAddress: client.address })
    throw new AuthError('INVALID_CREDENTIALS')
  }
  const { user, session } = outcome
  report({
    type: 'login.succeeded',
    userId: user.id,
    sessionId: session.sessionId,
    clientAddress: client.address,
  })
  return { kind: 'LoggedIn', user, tokens: await tokensOf(tokens, user, session) }
}

/** Another login may just have replaced a hash that was out of date: then the password is checked against the new one, once. */
async function openSession(
  services: Services,
  who: { email: Email; password: Password },
  client: Client,
): Promise<Opened | Refused> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await services.users.authenticate(who, client)
    if (outcome.kind === 'refused') return outcome
    const { user, success } = outcome
    const session = await services.sessions
      .open(outcome, client)
      .catch(settling(services.database, success))
    if (session) return { kind: 'opened', user, session }
    if (attempt === 2) return { kind: 'refused', reason: 'wrong_password', userId: user.id }
  }
}

interface Opened {
  readonly kind: 'opened'
  readonly user: User
  readonly session: OpenedSession
}

function resultOf(value: LoggedIn | AlreadyLoggedIn) {
  return value.kind === 'LoggedIn' ? 'success' : 'already_logged_in'
}

const RESULTS = {
  INVALID_CREDENTIALS: 'invalid_credentials',
  RATE_LIMITED: 'rate_limited',
  OVERLOADED: 'overloaded',
  left: 'left',
} as const satisfies Thrown<LoginResult>
