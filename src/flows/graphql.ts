// The mutations that cross features: `signup` and `login`, and the types that only they return.

import type { Builder } from '../graphql/builder.ts'
import type { addTokens } from '../tokens/graphql.ts'
import type { addUsers } from '../users/graphql.ts'
import type { AlreadyLoggedIn, LoggedIn } from './login.ts'
import { login } from './login.ts'
import type { Services } from './services.ts'
import type { SignedUp } from './signup.ts'
import { signup } from './signup.ts'

interface Refs {
  readonly User: ReturnType<typeof addUsers>
  readonly Tokens: ReturnType<typeof addTokens>
}

/** Adds the mutations. */
export function addFlows(builder: Builder, services: Services, { User, Tokens }: Refs): void {
  const SignedUpRef = builder.objectRef<SignedUp>('SignedUp').implement({
    description: 'A new user, logged in.',
    fields: (t) => ({
      user: t.expose('user', { type: User, description: 'The new user.' }),
      tokens: t.expose('tokens', { type: Tokens, description: 'The tokens of the first session.' }),
    }),
  })

  const LoggedInRef = builder.objectRef<LoggedIn>('LoggedIn').implement({
    description: 'A new session.',
    fields: (t) => ({
      user: t.expose('user', { type: User, description: 'Who logged in.' }),
      tokens: t.expose('tokens', { type: Tokens, description: 'The tokens of the new session.' }),
    }),
  })

  const AlreadyLoggedInRef = builder.objectRef<AlreadyLoggedIn>('AlreadyLoggedIn').implement({
    description:
      'The request carried a valid access token; no password was checked and no session opened.',
    fields: (t) => ({
      email: t.exposeString('email', {
        description: 'Of the user whom the token belongs to, not of the arguments.',
      }),
      message: t.exposeString('message', { description: '`이미 {email}로 로그인 하였습니다.`' }),
    }),
  })

  const LoginResultRef = builder.unionType('LoginResult', {
    description: 'How a login ended. Keep a default branch: the union will grow.',
    types: [LoggedInRef, AlreadyLoggedInRef],
    resolveType: (value) => value.kind,
  })

  builder.mutationField('signup', (t) =>
    t.field({
      type: SignedUpRef,
      description: 'Creates a user and logs in. `INVALID_EMAIL`, `WEAK_PASSWORD`, `EMAIL_TAKEN`.',
      extensions: { checksCredentials: true },
      args: {
        email: t.arg.string({
          required: true,
          description: 'The e-mail address; kept as typed, compared without case.',
        }),
        password: t.arg.string({
          required: true,
          description: 'At least as long as the server demands, at most 1,024 characters.',
        }),
      },
      resolve: (_, input, { client }) => signup(services, input, client),
    }),
  )

  builder.mutationField('login', (t) =>
    t.field({
      type: LoginResultRef,
      description:
        'Opens a session. With a valid access token in the `Authorization` header: `AlreadyLoggedIn`. `INVALID_CREDENTIALS` for every reason alike.',
      extensions: { checksCredentials: true },
      args: {
        email: t.arg.string({ required: true, description: 'The e-mail address, in any case.' }),
        password: t.arg.string({ required: true, description: 'The password.' }),
      },
      resolve: (_, input, { client, viewer }) => login(services, { ...input, viewer }, client),
    }),
  )
}
