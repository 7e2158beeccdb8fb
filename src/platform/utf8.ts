// Bytes as text, or not at all: Bun and Node put U+FFFD in the place of what is no UTF-8, and so make different keys the same.

/** Bytes that are no UTF-8. */
export class NotText extends Error {
  override readonly name = 'NotText'
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of bytes, a byte order mark included. Throws `NotText`. */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new NotText('not UTF-8')
  }
}
