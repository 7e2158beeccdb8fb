// What commands print, for people and for programs.

import { describe, expect, test } from 'bun:test'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
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

test('what a stranger named itself cannot move the cursor or break a line', () => {
  expect(table(['CLIENT'], [['\u001b[2Jevil\nusr_1\u202e\u2028']])).toBe('CLIENT\n·[2Jevil·usr_1··')
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

/** A process that runs this program with what prints. */
function start<Out extends 'pipe' | number>(program: string, stdout: Out) {
  const text = `const { print, printList } = await import('./src/cli/output.ts')\n${program}`
  return Bun.spawn<'pipe', Out, 'pipe'>([process.execPath, '--no-env-file', '-e', text], {
    cwd: join(import.meta.dir, '../..'),
    stdin: 'pipe',
    stdout,
    stderr: 'pipe',
  })
}

describe('a list of pages', () => {
  /** The second page comes when standard input ends. */
  const printing = (json: true | undefined, ...pages: string[][]) =>
    start(
      `async function* pages() {
        for (const [at, page] of ${JSON.stringify(pages)}.entries()) {
          if (at === 1) for await (const _ of Bun.stdin.stream());
          yield page
        }
      }
      const list = { pages: pages(), headings: ['A', 'B'], cellsOf: (row) => [row, row] }
      console.error(JSON.stringify(await printList(${json}, list)))`,
      'pipe',
    )

  test.each<[true | undefined, string, string]>([
    [true, '["a","bb"', ',"ccc"]\n'],
    [undefined, 'A   B\na   a\nbb  bb\n', 'ccc  ccc\n'],
  ])('is printed as they come (--json: %p)', async (json, first, rest) => {
    const child = printing(json, ['a', 'bb'], ['ccc'])
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader.read()).value).toBe(first)
    child.stdin.end()
    let said = ''
    for (let read = await reader.read(); !read.done; read = await reader.read()) said += read.value
    expect(said).toBe(rest)
    expect(JSON.parse(await new Response(child.stderr).text())).toEqual({ count: 3, last: 'ccc' })
  })

  test.each<[true | undefined, string]>([
    [true, '[]\n'],
    [undefined, 'A  B\n'],
  ])('without rows is a list all the same (--json: %p)', async (json, text) => {
    expect(await new Response(printing(json, []).stdout).text()).toBe(text)
  })
})

test('what is added to a file follows what was there, however long it is', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'munjigi-output-')), 'list')
  writeFileSync(path, 'before\n')
  const file = openSync(path, 'a')
  const words = Array(20_000).fill('한글')
  await start(`await print(true, Array(20_000).fill('한글'), '')`, file).exited
  expect(readFileSync(path, 'utf8')).toBe(`before\n${JSON.stringify(words)}\n`)
  closeSync(file)
  rmSync(dirname(path), { recursive: true })
})
