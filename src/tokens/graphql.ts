// The type `Tokens`: what a client keeps after signing up or logging in.

import type { Builder } from '../graphql/builder.ts'

/** The value behind the type. Times: seconds. */
export interface TokensValue {
  readonly accessToken: string
  readonly expiresIn: number
  readonly refreshToken: string
  readonly refreshExpiresIn: number
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
      refreshToken: t.exposeString('refreshToken', {
        description: 'Opaque. Works once: `refresh` returns its successor.',
      }),
      refreshExpiresIn: t.exposeInt('refreshExpiresIn', {
        description: 'Seconds until the refresh token expires if it is not used.',
      }),
    }),
  })
}
