// Texts that parsers trip over, and addresses and passwords made of them: what fast-check invents, and what it would not.

import fc from 'fast-check'

/** Every code unit, lone surrogates included. */
const units = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 })
  .map((codes) => String.fromCharCode(...codes))

const KNOWN_TROUBLE = [
  '',
  ' ',
  '\0',
  '\r\nBcc: v@example.com',
  '"; DROP TABLE users; --',
  '{{7*7}}',
  '\u202Etxt.exe',
  '\u200B',
  '\uD800',
  '\uFEFF',
  'e\u0301'.repeat(30),
  `a${'\u0316\u0301'.repeat(3_000)}`,
  'ﬁ',
  '__proto__',
  'constructor',
  'null',
  '1e400',
  '\\u0000\\',
  '"""',
  '#{',
  '가'.repeat(300),
  'x'.repeat(1_025),
]

/** Any text. */
export const texts = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 30 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 2, arbitrary: units },
  { weight: 2, arbitrary: fc.constantFrom(...KNOWN_TROUBLE) },
)

/** Addresses: good ones, good ones that were tampered with, and others. */
export const emails = fc.oneof(
  fc.emailAddress(),
  fc.emailAddress({ size: 'large' }),
  fc.tuple(fc.emailAddress(), texts, fc.nat()).map(([email, text, at]) => {
    const place = at % (email.length + 1)
    return email.slice(0, place) + text + email.slice(place)
  }),
  fc.tuple(texts, fc.domain()).map(([local, domain]) => `${local}@${domain}`),
  fc.tuple(fc.domain(), texts).map(([local, domain]) => `${local}@${domain}`),
  fc.webAuthority({ withUserInfo: true }),
  texts,
)

/** Passwords: short, long, odd, and around the limits. */
export const passwords = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 6, maxLength: 40 }),
  fc.integer({ min: 1_020, max: 1_028 }).map((length) => '문지'.repeat(length).slice(0, length)),
  fc.tuple(texts, texts).map(([one, other]) => one + other),
  texts,
)
