// E-mail addresses: what is one, and which are the same one.

import { describe, expect, test } from 'bun:test'
import type { InputFault } from '../errors.ts'
import { readEmail } from './email.ts'

const key = (text: string): string => {
  const email = readEmail(text)
  return typeof email === 'string' ? email : email.key
}

/** Of 254 characters. */
const LONGEST = `${'a'.repeat(64)}@${`${'b'.repeat(60)}.`.repeat(3)}eee.kr`

describe('an address that is accepted', () => {
  test.each([
    ['kim@example.com', 'kim@example.com'],
    ['Kim@Example.COM', 'kim@example.com'],
    ["o'neil+tag@x.ie", "o'neil+tag@x.ie"],
    ['  kim@example.com  ', 'kim@example.com'],
    ['kim@예시.한국', 'kim@xn--vv4b11d.xn--3e0b707e'],
    ['kim@xn--vv4b11d.xn--3e0b707e', 'kim@xn--vv4b11d.xn--3e0b707e'],
    ['kim@XN--VV4B11D.xn--3e0b707e', 'kim@xn--vv4b11d.xn--3e0b707e'],
    ['kim@ｅｘａｍｐｌｅ.com', 'kim@example.com'],
    ['kim@example。com', 'kim@example.com'],
    ['kim@faß.de', 'kim@xn--fa-hia.de'],
    ['kim@i❤\uFE0F.ws', 'kim@xn--i-7iq.ws'],
    ['kim@İstanbul.com'.normalize('NFC'), key('kim@İstanbul.com'.normalize('NFD'))],
    [`${'a'.repeat(64)}@x.kr`, `${'a'.repeat(64)}@x.kr`],
    [`a@${'b'.repeat(63)}.kr`, `a@${'b'.repeat(63)}.kr`],
    [LONGEST, LONGEST],
  ])('%p is compared as %p', (text, expected) => {
    expect(key(text)).toBe(expected)
  })
})

test('an address is kept as typed, less outer spaces', () => {
  expect(readEmail(' Kim.Lee+news@예시.한국 ')).toMatchObject({ address: 'Kim.Lee+news@예시.한국' })
})

describe('an address that is refused', () => {
  test.each([
    ['', 'malformed'],
    ['kim', 'malformed'],
    ['@example.com', 'malformed'],
    ['kim@', 'malformed'],
    ['kim.example.com', 'malformed'],
    ['   ', 'malformed'],
    ['kim@localhost', 'malformed'],
    ['kim@127.0.0.1', 'malformed'],
    ['kim@[127.0.0.1]', 'malformed'],
    ['kim@0x7f.1', 'malformed'],
    ['kim@example.com.', 'malformed'],
    ['kim@example..com', 'malformed'],
    ['kim@-a.com', 'malformed'],
    ['a..b@x.com', 'malformed'],
    ['.a@x.com', 'malformed'],
    ['a.@x.com', 'malformed'],
    ['"a b"@x.com', 'malformed'],
    ['a@b@c.com', 'malformed'],
    ['<a@b.co>', 'malformed'],
    ['a@b.co, c@d.co', 'malformed'],
    ['a@ex%61mple.com', 'malformed'],
    ['a@example.com/x', 'malformed'],
    ['a@example.com:25', 'malformed'],
  ])('%p: %s', (text, reason) => {
    expect(readEmail(text)).toBe(reason as InputFault)
  })
  test.each([
    ['a label of 64 characters', 'malformed', `a@${'b'.repeat(64)}.com`],
    ['a local part of 65 characters', 'too_long', `${'a'.repeat(65)}@x.com`],
    [
      'a domain of 264 characters',
      'too_long',
      `a@${`${'b'.repeat(60)}.`.repeat(4)}${'f'.repeat(20)}`,
    ],
    ['255 characters', 'too_long', `${'a'.repeat(64)}@${`${'b'.repeat(60)}.`.repeat(3)}eeee.kr`],
    [
      '255 octets in UTF-8',
      'too_long',
      `${'a'.repeat(64)}@${'한'.repeat(30)}.${'한'.repeat(32)}.kr`,
    ],
    ['what is short as typed, and too long as A-labels', 'too_long', `kim@${'ü.'.repeat(40)}kr`],
    ['1 MB', 'too_long', 'x'.repeat(1_000_000)],
    // They would have to be put in order first.
    ['eight hundred marks', 'too_long', `kim@${'\u0316\u0301'.repeat(400)}.kr`],
  ])('%s: %s', (_, reason, text) => {
    expect(readEmail(text)).toBe(reason as InputFault)
  })
})

describe('tricks with Unicode never join two users (CVE-2019-19844)', () => {
  test.each([
    ['mıke@example.com', 'dotless i'],
    ['ſam@example.com', 'long s'],
    ['\u212Aim@example.com', 'Kelvin sign'],
    ['İ@example.com', 'dotted I'],
    ['ｋim@example.com', 'full-width k'],
    ['kim\u200B@example.com', 'zero-width space'],
    ['kim@exam\u200Dple.com', 'zero-width joiner in the domain'],
    ['kim@exam\u00ADple.com', 'soft hyphen in the domain'],
    ['\u202Ekim@example.com', 'bidi override'],
    ['문지기@example.com', 'a local part that is not ASCII'],
  ])('%p is refused (%s)', (text) => {
    expect(readEmail(text)).toBe('malformed')
  })
})

describe('characters that break things are refused', () => {
  test.each([
    'a\0b@x.kr',
    'a@x.kr\0',
    'a@x.kr\n',
    'a@x.kr\r\nBcc: v@z.kr',
    'a\t@x.kr',
    'a@x\uD800.kr',
    '\uDC00a@x.kr',
    'a@x.kr\u2028',
    'a@\u0085x.kr',
  ])('%j', (text) => {
    expect(readEmail(text)).toBe('malformed')
  })
})
