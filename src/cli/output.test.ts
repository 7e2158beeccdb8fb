// What commands print for people.

import { expect, test } from 'bun:test'
import { moment, table } from './output.ts'

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

test('what a stranger named itself cannot move the cursor or break a line', () => {
  expect(table(['CLIENT'], [['\u001b[2Jevil\nusr_1\u202e']])).toBe('CLIENT\n·[2Jevil·usr_1·')
})

test('moments are in UTC, to the second', () => {
  expect(moment(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)))).toBe('2026-01-02 03:04:05 UTC')
})
