// The type `Session`, and the fields that concern sessions alone: listing and ending them.

import type { Builder } from '../graphql/builder.ts'
import type { Context } from '../graphql/context.ts'
import { oncePerRequest, requireViewer } from '../graphql/context.ts'
import { toUserId } from '../users/user.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/** Adds `Session`, `LoggedOut`, `Query.sessions`, and the mutations `logout`, `logoutAll`, `endSession`. */
export function addSessions(builder: Builder, sessions: Sessions) {
  const listOwn = oncePerRequest((context: Context) => sessions.listOwn(requireViewer(context)))
  const SessionRef = builder.objectRef<Session>('Session').implement({
    description: 'A login on one client, which can be ended.',
    fields: (t) => ({
      id: t.exposeID('id', { description: 'The `sid` of its access tokens.' }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was opened.' }),
      lastUsedAt: t.expose('lastUsedAt', {
        type: 'DateTime',
        description: 'When it was opened or last refreshed.',
      }),
      expiresAt: t.expose('expiresAt', {
        type: 'DateTime',
        description: 'When it expires if it is not refreshed.',
      }),
      clientAddress: t.exposeString('clientAddress', {
        nullable: true,
        description: 'The address it was opened from.',
      }),
      client: t.exposeString('client', {
        description: 'The software that opened it, as it named itself.',
      }),
      current: t.boolean({
        description: 'Whether it is the session of this request.',
        resolve: ({ id }, _, { viewer }) => viewer()?.sessionId === id,
      }),
    }),
  })

  const LoggedOut = builder.objectRef<{ sessions: number }>('LoggedOut').implement({
    description: 'The result of ending sessions.',
    fields: (t) => ({
      sessions: t.exposeInt('sessions', { description: 'How many sessions ended.' }),
    }),
  })

  builder.queryField('sessions', (t) =>
    t.field({
      type: [SessionRef],
      description: "The viewer's open sessions, newest first. Fails with `UNAUTHENTICATED`.",
      resolve: (_, __, context) => listOwn(context),
    }),
  )

  builder.mutationField('logout', (t) =>
    t.field({
      type: LoggedOut,
      description:
        'Ends the session of the given refresh token or, without one, of the access token. Idempotent: a dead token gives `sessions: 0`.',
      args: {
        refreshToken: t.arg.string({ description: 'Any refresh token of the session.' }),
      },
      resolve: async (_, { refreshToken }, context) => ({
        sessions: refreshToken ? await sessions.endByToken(refreshToken) : await endOwn(context),
      }),
    }),
  )

  builder.mutationField('logoutAll', (t) =>
    t.field({
      type: LoggedOut,
      description: 'Ends all sessions of the viewer. Fails with `UNAUTHENTICATED`.',
      resolve: async (_, __, context) => ({
        sessions: await sessions.endAll(viewerId(context), 'logout_all'),
      }),
    }),
  )

  builder.mutationField('endSession', (t) =>
    t.field({
      type: LoggedOut,
      description:
        "Ends one session of the viewer. If there is none with this id, or it is another user's: `sessions: 0`. Fails with `UNAUTHENTICATED`.",
      args: {
        id: t.arg.id({ required: true, description: 'The `id` of the session, as in `sessions`.' }),
      },
      resolve: async (_, { id }, context) => ({
        sessions: await sessions.endOne(viewerId(context), id, 'ended'),
      }),
    }),
  )

  return LoggedOut

  /** Without a valid token there is nothing to end: that is an answer, not an error. */
  async function endOwn(context: Context): Promise<number> {
    const viewer = context.viewer()
    return viewer ? await sessions.endOne(toUserId(viewer.userId), viewer.sessionId, 'logout') : 0
  }
}

function viewerId(context: Context) {
  return toUserId(requireViewer(context).userId)
}
