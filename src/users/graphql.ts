// The type `User` and the field `me`.

import type { Builder } from '../graphql/builder.ts'
import type { Context } from '../graphql/context.ts'
import { oncePerRequest, requireViewer } from '../graphql/context.ts'
import type { UserId } from './user.ts'
import { toUserId } from './user.ts'
import type { Users } from './users.ts'

/** A user, or as much of one as a token says: the rest is read when asked for. */
export interface UserValue {
  readonly id: UserId
  readonly email: string
  readonly createdAt?: Date
}

/** Adds `User` and `Query.me`; returns the ref of the type. */
export function addUsers(builder: Builder, users: Users) {
  const requireUser = oncePerRequest((context: Context) =>
    users.require(toUserId(requireViewer(context).userId)),
  )
  const User = builder.objectRef<UserValue>('User').implement({
    description: "A person's record with this service.",
    fields: (t) => ({
      id: t.exposeID('id', { description: 'Opaque and permanent; the `sub` of every token.' }),
      email: t.exposeString('email', {
        description: 'As typed at signup. Not verified: do not take it for proof of identity.',
      }),
      createdAt: t.field({
        type: 'DateTime',
        description: 'When the user signed up.',
        // Without it the user is the viewer.
        resolve: ({ createdAt }, _, context) =>
          createdAt ?? requireUser(context).then((user) => user.createdAt),
      }),
    }),
  })

  builder.queryField('me', (t) =>
    t.field({
      type: User,
      description:
        'The viewer: the user of the access token. Fails with `UNAUTHENTICATED` without a valid one.',
      resolve: (_, __, context) => userOf(requireViewer(context)),
    }),
  )

  return User
}

/** Straight from the token: `me { id email }` needs no database. */
function userOf(viewer: { userId: string; email: string }): UserValue {
  return { id: toUserId(viewer.userId), email: viewer.email }
}
