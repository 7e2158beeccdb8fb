// The signing keys. Only public halves are readable; private ones are sealed under a key derived from the secret.

import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

export const signingKeys = sqliteTable(
  'signing_keys',
  {
    /** RFC 7638 thumbprint of the public key. */
    kid: text('kid').primaryKey(),
    algorithm: text('algorithm').notNull(),
    publicJwk: text('public_jwk').notNull(),
    /** AES-256-GCM, bound to `kid`; base64url of nonce, ciphertext and tag. */
    sealedPrivateJwk: text('sealed_private_jwk').notNull(),
    /** Milliseconds since 1970. */
    createdAt: integer('created_at').notNull(),
  },
  (table) => [index('signing_keys_algorithm_created_at').on(table.algorithm, table.createdAt)],
)
