// The signing keys, sealed under a key derived from the secret. The public half is not stored: it follows from the private one.

import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** Times are milliseconds since 1970. */
export const signingKeys = sqliteTable(
  'signing_keys',
  {
    /** RFC 7638 thumbprint of the public key. */
    kid: text('kid').primaryKey(),
    algorithm: text('algorithm').notNull(),
    /** AES-256-GCM, bound to `kid`; base64url of nonce, ciphertext and tag. */
    sealedPrivateJwk: text('sealed_private_jwk').notNull(),
    /** When it was published. */
    createdAt: integer('created_at').notNull(),
    /** From when on it signs: not before everybody who verifies can know it. */
    signsFrom: integer('signs_from').notNull(),
  },
  (table) => [index('signing_keys_signs_from').on(table.signsFrom)],
)
