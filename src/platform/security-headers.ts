// The headers that every answer carries, whatever it says: it may load and run nothing, and be neither stored nor framed
// (ASVS 3.4). An answer that must differ has set its own before.

/** Names and values. If the last one is set, all are. */
export const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/** Adds those that are missing. */
export function addSecurityHeaders(headers: Headers): void {
  // Most answers are made with all of them: one look instead of ten.
  if (headers.has('x-frame-options')) return
  for (const [name, value] of Object.entries(SECURITY_HEADERS))
    if (!headers.has(name)) headers.set(name, value)
}
