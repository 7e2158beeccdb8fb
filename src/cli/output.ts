// What commands print: one JSON value for programs, aligned columns for people.

/** Prints a result in the form that was asked for. Throws when that fails, as on a full disk: half a list must not pass for one. */
export async function print(json: true | undefined, value: unknown, text: string): Promise<void> {
  try {
    await Bun.write(Bun.stdout, `${json ? JSON.stringify(value) : text}\n`)
  } catch (error) {
    // Who stops reading, as `head` does, has what they wanted.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
}

/** Rows in aligned columns under their headings. Nothing a stranger named itself reaches the terminal as a command. */
export function table(headings: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const all = [headings, ...rows].map((row) => row.map(withoutControls))
  const widths = headings.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)))
  const aligned = (row: readonly string[]) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0))
  return all.map((row) => aligned(row).join('  ').trimEnd()).join('\n')
}

function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·')
}

/** A moment, to the second. */
export function moment(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
