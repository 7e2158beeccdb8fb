import { describe, expect, test } from 'bun:test'
import { parseJson } from './json.ts'

const listOf = (count: number, text: string) => `[${Array(count).fill(text).join()}]`

describe('JSON', () => {
  test.each([
    ['of few parts', '{"query":"{ me { id } }","variables":{"a":[1,2,3]}}'],
    ['of 200 parts', listOf(199, `[${' '.repeat(10)}]`)],
    ['with a long list of numbers', listOf(20_000, '1')],
    ['with what looks like parts in its text', JSON.stringify({ query: '{[:"\\'.repeat(1_000) })],
  ])('%s is read', (_, text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text))
  })

  test.each([
    ['of 201 parts', listOf(200, `[${' '.repeat(10)}]`)],
    ['of objects that each take eight kilobytes', listOf(9_000, '{"999":1}')],
    ['of objects none of which is like another', listOf(9_000, '{"a":1}')],
    [
      'of one object with many members',
      `{${Array.from({ length: 9_000 }, (_, i) => `"a${i}":1`)}}`,
    ],
    ['of lists in lists', '['.repeat(50_000) + ']'.repeat(50_000)],
    ['whose parts come after a long text', `["${'\\"'.repeat(9_000)}",${listOf(200, '[]')}]`],
  ])('%s is refused unread', (_, text) => {
    expect(() => parseJson(text)).toThrow('too many parts')
  })

  test.each(['{', '"', '\\'.repeat(2_000), '"\\'.repeat(2_000)])(
    'that is none is refused: %#',
    (text) => {
      expect(() => parseJson(text)).toThrow(SyntaxError)
    },
  )
})
