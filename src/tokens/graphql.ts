// The type `Tokens`: what a client keeps after signing up or logging in.

import type { Builder } from '../graphql/builder.ts'

/** The value behind the type. `expiresIn`: seconds. */
export interface TokensValue {
  readonly accessToken: string
  readonly expiresIn: number
}

/** Adds `Tokens` and returns its ref. */
export function addTokens(builder: Builder) {
  return builder.objectRef<TokensValue>('Tokens').implement({
    description: 'What a client keeps after signing up, logging in or refreshing.',
    fields: (t) => ({
      accessToken: t.exposeString('accessToken', {
        description: 'A signed JWT: send it as `Authorization: Bearer …`.',
      }),
      expiresIn: t.exposeInt('expiresIn', {
        description: 'Seconds until the access token expires.',
      }),
    }),
  })
}
