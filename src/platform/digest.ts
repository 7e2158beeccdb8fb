// Keyed digests and keys for one purpose each, all derived from the one secret of the installation.

import { createHmac, hkdfSync } from 'node:crypto'

/** A 32-byte key for one purpose (RFC 5869, SHA-256). Two labels never give related keys. */
export function deriveKey(secret: string, label: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', `munjigi ${label}`, 32))
}

/** The keys for one purpose: one per secret, in the order of the secrets. */
export function deriveKeys(
  [current, ...older]: readonly [string, ...string[]],
  label: string,
): readonly [Uint8Array, ...Uint8Array[]] {
  return [deriveKey(current, label), ...older.map((secret) => deriveKey(secret, label))]
}

/** A short keyed digest (12 hex digits) that lets a log say "the same one again" without saying who. */
export function shortDigest(key: Uint8Array, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex').slice(0, 12)
}
