// Seals a private key for the database: AES-256-GCM with the key's id as associated data, so that a sealed key moved
// to another row does not open. Nonces are random: keys are few, far below the 2^32 that 96 bits allow.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Seals `plaintext` under a 32-byte key. Returns base64url of nonce, ciphertext and tag. */
export function seal(plaintext: string, key: Uint8Array, kid: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(kid))
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString('base64url')
}

/** Opens what `seal` made, or returns null when key, id or bytes are not the ones it was sealed with. */
export function unseal(sealed: string, key: Uint8Array, kid: string): string | null {
  const bytes = Buffer.from(sealed, 'base64url')
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(Buffer.from(kid))
      .setAuthTag(bytes.subarray(-TAG_BYTES))
    const ciphertext = bytes.subarray(NONCE_BYTES, -TAG_BYTES)
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}
