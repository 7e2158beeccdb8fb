// A session: one login on one client, which can be ended. Its secret is not part of it.

import type { UserId } from '../users/user.ts'

declare const id: unique symbol
/** The `sid` of every token of the session. */
export type SessionId = string & { readonly [id]: 'SessionId' }

/** What its user may see of a session. */
export interface Session {
  readonly id: SessionId
  readonly userId: UserId
  readonly createdAt: Date
  /** When it was opened or last refreshed. */
  readonly lastUsedAt: Date
  /** When it expires if it is not refreshed. */
  readonly expiresAt: Date
  readonly clientAddress: string
  /** The User-Agent, cut to a readable length. */
  readonly client: string
}

/** A named border: the text comes from a token that we signed, was made for a new session, or matches nothing. */
export function toSessionId(text: string): SessionId {
  return text as SessionId
}
