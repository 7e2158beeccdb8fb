// What commands print: one JSON value for programs, aligned columns for people. No text of a stranger, such as the name of a
// client, reaches the terminal as a command to it.

import { escapeLineBreaks } from '../observability/lines.ts'
import { systemCode } from '../platform/system-error.ts'

/** Prints a result in the form that was asked for. Throws if it cannot be written, as on a full disk; `console` would not. */
export async function print(json: true | undefined, value: unknown, text: string): Promise<void> {
  await write(`${json ? jsonOf(value) : text}\n`)
}

/** A list, page by page, for it may be larger than memory. Only the first page may be empty. */
export interface List<Row> {
  readonly pages: AsyncIterable<readonly Row[]>
  readonly headings: readonly string[]
  /** A row as people see it. */
  readonly cellsOf: (row: Row) => readonly string[]
}

/**
 * Prints a list as its pages come, until its reader has gone; columns are aligned for each page. Returns how many rows it has
 * printed, and the last of them. Throws as `print` does.
 */
export async function printList<Row>(
  json: true | undefined,
  { pages, headings, cellsOf }: List<Row>,
): Promise<{ readonly count: number; readonly last: Row | undefined }> {
  let count = 0
  let last: Row | undefined
  for await (const page of pages) {
    const isFirst = count === 0
    const lines = () => linesOf(headings, page.map(cellsOf)).slice(isFirst ? 0 : 1)
    const text = json
      ? `${isFirst ? '[' : ','}${page.map(jsonOf).join(',')}`
      : `${lines().join('\n')}\n`
    if (!(await write(text))) return { count, last }
    count += page.length
    last = page.at(-1)
  }
  if (json) await write(']\n')
  return { count, last }
}

/**
 * Writes to standard output; false: the reader has seen enough, such as `head`. Not by `Bun.write`, which leaves NULs where a
 * long text is added to a shorter file.
 */
export async function write(text: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  process.stdout.on('error', reject)
  process.stdout.write(text, (error) => (error ? reject(error) : resolve(true)))
  try {
    return await promise
  } catch (error) {
    if (systemCode(error) === 'EPIPE') return false
    throw error
  } finally {
    process.stdout.off('error', reject)
  }
}

/** JSON that a terminal may show: some take U+009B and its like, which JSON leaves raw, for commands. */
export function jsonOf(value: unknown): string {
  return escapeLineBreaks(JSON.stringify(value))
}

/** Rows in aligned columns under their headings. */
export function table(headings: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  return linesOf(headings, rows).join('\n')
}

function linesOf(
  headings: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
): readonly string[] {
  const all = [headings, ...rows].map((row) => row.map(withoutControls))
  const widths = headings.map((_, at) =>
    all.reduce((widest, row) => Math.max(widest, Bun.stringWidth(row[at] ?? '')), 0),
  )
  const aligned = (row: readonly string[]) =>
    row.map((cell, at) => cell + ' '.repeat((widths[at] ?? 0) - Bun.stringWidth(cell)))
  return all.map((row) => aligned(row).join('  ').trimEnd())
}

function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
}

/** A moment, to the second. */
export function moment(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
