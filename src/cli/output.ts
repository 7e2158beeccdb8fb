// What commands print: one JSON value for programs, aligned columns for people. No text of a stranger, such as the name of a
// client, reaches the terminal as a command to it.

import { escapeLineBreaks } from '../observability/lines.ts'
import { systemCode } from '../platform/system-error.ts'

/** Prints a result in the form that was asked for. Throws if it cannot be written, as on a full disk; `console` would not. */
export async function print(json: true | undefined, value: unknown, text: string): Promise<void> {
  try {
    await Bun.write(Bun.stdout, `${json ? jsonOf(value) : text}\n`)
  } catch (error) {
    // EPIPE: the reader has seen enough, such as `head`.
    if (systemCode(error) !== 'EPIPE') throw error
  }
}

/** JSON that a terminal may show: some take U+009B and its like, which JSON leaves raw, for commands. */
export function jsonOf(value: unknown): string {
  return escapeLineBreaks(JSON.stringify(value))
}

/** Rows in aligned columns under their headings. */
export function table(headings: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const all = [headings, ...rows].map((row) => row.map(withoutControls))
  const widths = headings.map((_, at) =>
    all.reduce((widest, row) => Math.max(widest, Bun.stringWidth(row[at] ?? '')), 0),
  )
  const aligned = (row: readonly string[]) =>
    row.map((cell, at) => cell + ' '.repeat((widths[at] ?? 0) - Bun.stringWidth(cell)))
  return all.map((row) => aligned(row).join('  ').trimEnd()).join('\n')
}

function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
}

/** A moment, to the second. */
export function moment(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
