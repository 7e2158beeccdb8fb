// The mutations that cross features, and the types that only they return.

import type { Builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import type { addSessions } from '../sessions/graphql.ts'
import type { addTokens } from '../tokens/graphql.ts'
import type { addUsers } from '../users/graphql.ts'
import { changePassword } from './change-password.ts'
import { deleteMe } from './delete-me.ts'
import type { AlreadyLoggedIn, LoggedIn } from './login.ts'
import { login } from './login.ts'
import { refresh } from './refresh.ts'
import type { Services } from './services.ts'
import type { SignedUp } from './signup.ts'
import { signup } from './signup.ts'

interface Refs {
  readonly User: ReturnType<typeof addUsers>
  readonly Tokens: ReturnType<typeof addTokens>
  readonly LoggedOut: ReturnType<typeof addSessions>
}

/** Adds the mutations. */
export function addFlows(
  builder: Builder,
  services: Services,
  { User, Tokens, LoggedOut }: Refs,
): void {
  const SignedUpRef = builder.objectRef<SignedUp>('SignedUp').implement({
    description: 'A new user, logged in.',
    fields: (t) => ({
      user: t.expose('user', { type: User, description: 'The new user.' }),
      tokens: t.expose('tokens', { type: Tokens, description: 'The tokens of the first session.' }),
    }),
  })

  const LoggedInRef = builder.objectRef<LoggedIn>('LoggedIn').implement({
    description: 'A successful login.',
    fields: (t) => ({
      user: t.expose('user', { type: User, description: 'The user who logged in.' }),
      tokens: t.expose('tokens', { type: Tokens, description: 'The tokens of the new session.' }),
    }),
  })

  const AlreadyLoggedInRef = builder.objectRef<AlreadyLoggedIn>('AlreadyLoggedIn').implement({
    description:
      'The request carried a valid access token; no password was checked and no session opened.',
    fields: (t) => ({
      email: t.exposeString('email', {
        description: "The address of the token's user, not the one in the arguments.",
      }),
      message: t.exposeString('message', {
        description:
          '`이미 {email}로 로그인 하였습니다.`, or `Already logged in as {email}.` where messages are in English.',
      }),
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
      description:
        'Creates a user and logs in. Fails with `INVALID_EMAIL`, `WEAK_PASSWORD` or `EMAIL_TAKEN`.',
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
        'Opens a session, or returns `AlreadyLoggedIn` if the `Authorization` header holds a valid access token. Credentials refused for any reason: `INVALID_CREDENTIALS`.',
      extensions: { checksCredentials: true },
      args: {
        email: t.arg.string({
          required: true,
          description: 'The e-mail address, in upper or lower case.',
        }),
        password: t.arg.string({ required: true, description: 'The password.' }),
      },
      resolve: (_, input, { client, viewer }) =>
        login(services, { ...input, viewer: viewer() }, client),
    }),
  )

  builder.mutationField('refresh', (t) =>
    t.field({
      type: Tokens,
      description:
        'Exchanges a refresh token for its successor and a new access token. A refresh token works once; for a short while the one used last gives the same successor again. A token refused for any reason: `INVALID_REFRESH_TOKEN`.',
      extensions: { checksCredentials: true },
      args: {
        refreshToken: t.arg.string({
          required: true,
          description: 'The newest refresh token of the session.',
        }),
      },
      resolve: (_, { refreshToken }, { client }) => refresh(services, refreshToken, client),
    }),
  )

  builder.mutationField('changePassword', (t) =>
    t.field({
      type: Tokens,
      description:
        'Ends all sessions of the viewer and opens a new one; no earlier token works. Fails with `UNAUTHENTICATED`, `INVALID_CREDENTIALS` or `WEAK_PASSWORD`.',
      extensions: { checksCredentials: true },
      args: {
        currentPassword: t.arg.string({ required: true, description: 'The present password.' }),
        newPassword: t.arg.string({ required: true, description: 'The new password.' }),
      },
      resolve: (_, input, context) =>
        changePassword(services, { ...input, viewer: requireViewer(context) }, context.client),
    }),
  )

  builder.mutationField('deleteMe', (t) =>
    t.field({
      type: LoggedOut,
      description:
        'Deletes the viewer and everything kept about them; ends all sessions. Fails with `UNAUTHENTICATED` or `INVALID_CREDENTIALS`.',
      extensions: { checksCredentials: true },
      args: { password: t.arg.string({ required: true, description: 'The password.' }) },
      resolve: async (_, { password }, context) => ({
        sessions: await deleteMe(
          services,
          { password, viewer: requireViewer(context) },
          context.client,
        ),
      }),
    }),
  )
}
