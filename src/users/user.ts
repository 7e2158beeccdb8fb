// A user: a person's record with this service. The password hash is not part of it and never leaves the service.

declare const id: unique symbol
/** Opaque and permanent: the `sub` of every token. */
export type UserId = string & { readonly [id]: 'UserId' }

/** What others may see of a user. */
export interface User {
  readonly id: UserId
  /** As typed, less outer spaces. */
  readonly email: string
  readonly createdAt: Date
  /** Since when they may not log in, by an operator's decision. */
  readonly disabledAt: Date | null
}

/** A named border: the text is from a token that we signed, was made for a new user, or is an operator's and may match nobody. */
export function toUserId(text: string): UserId {
  return text as UserId
}
