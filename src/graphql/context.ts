// What every resolver can know of a request: who calls, and as whom.

import { AuthError } from '../errors.ts'
import type { GraphQLParams } from './request.ts'
import type { AnswerTo } from './response.ts'

/** The software and address that calls. */
export interface Client {
  /** As the edge saw it when the peer is trusted, else the socket's peer. */
  readonly address: string
  readonly userAgent: string
  readonly requestId: string
  /** Aborted when the client has gone and nobody waits for the answer. */
  readonly signal?: AbortSignal
}

/** The user of a valid access token. */
export interface Viewer {
  readonly userId: string
  readonly email: string
  readonly sessionId: string
}

/** The GraphQL context. A bad token gives no viewer rather than an error, so that `login` works with a stale header. */
export interface Context {
  readonly client: Client
  /** The user of the token, as of now: an earlier field of the same operation may have ended the session. */
  viewer(): Viewer | null
}

/** One request, read: what to execute, for whom, and how to answer. */
export interface Operation extends Context {
  readonly params: GraphQLParams
  readonly answerTo: AnswerTo
}

/** The viewer. Throws `UNAUTHENTICATED` when there is none. */
export function requireViewer(context: Context): Viewer {
  const viewer = context.viewer()
  if (!viewer) throw new AuthError('UNAUTHENTICATED')
  return viewer
}

/**
 * Loads once for all fields of a request: with aliases, fifteen of them would make fifteen trips to the database, and one client
 * could keep it busy for everybody. Only for what is read.
 */
export function oncePerRequest<T>(
  load: (context: Context) => Promise<T>,
): (context: Context) => Promise<T> {
  const loading = new WeakMap<Context, Promise<T>>()
  return (context) => {
    const answer = loading.get(context) ?? load(context)
    loading.set(context, answer)
    return answer
  }
}
