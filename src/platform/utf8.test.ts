import { expect, test } from 'bun:test'
import { NotText, textOf } from './utf8.ts'

test('text is text, with its byte order mark', () => {
  for (const text of ['', '문지기', '\ufeffa', '\ufffd'])
    expect(textOf(new TextEncoder().encode(text))).toBe(text)
})

test.each([[[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0x61, 0xec, 0x9e]]])(
  'bytes that are no text are refused: %j',
  (bytes) => {
    expect(() => textOf(Uint8Array.from(bytes))).toThrow(NotText)
  },
)
