// What commands print, for people and for programs.

import { expect, test } from 'bun:test'
import { jsonOf, moment, table } from './output.ts'

test('columns are aligned under their headings', () => {
  expect(
    table(
      ['A', 'LONGER'],
      [
        ['wide cell', 'x'],
        ['y', 'z'],
      ],
    ),
  ).toBe('A          LONGER\nwide cell  x\ny          z')
})

test('a sign of two columns, as in an address of Korea, counts as two', () => {
  expect(table(['E-MAIL', 'STATE'], [['kim@한글.kr', 'active']])).toBe(
    'E-MAIL       STATE\nkim@한글.kr  active',
  )
})

test('there may be as many rows as `users list --limit` allows', () => {
  expect(table(['A'], Array(999_999).fill(['x']))).toHaveLength(2 * 1_000_000 - 1)
})

test('what a stranger named itself cannot move the cursor or break a line', () => {
  expect(table(['CLIENT'], [['\u001b[2Jevil\nusr_1\u202e']])).toBe('CLIENT\n·[2Jevil·usr_1·')
})

test('what a stranger named itself cannot do so in JSON either, whose value is the same', () => {
  // The bytes of a `User-Agent` are read as Latin-1: a terminal takes the first of these for ESC [.
  const sessions = [{ client: 'evil\u009b2J\u009d0;name\u007f' }]
  const json = jsonOf({ sessions })
  expect(json).toBe('{"sessions":[{"client":"evil\\u009b2J\\u009d0;name\\u007f"}]}')
  expect(JSON.parse(json)).toEqual({ sessions })
})

test('moments are in UTC, to the second', () => {
  expect(moment(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)))).toBe('2026-01-02 03:04:05 UTC')
})
