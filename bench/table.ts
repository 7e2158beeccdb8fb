// A table of the report, as text.

/** Cells of text. */
export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: ReadonlyArray<readonly string[]>
}

/** Its lines for a terminal, in columns. */
export function aligned({ head, rows }: Table): string[] {
  const lines = [head, ...rows]
  const plain = (cell: string) => cell.replaceAll('`', '')
  const widths = head.map((_, i) => Math.max(...lines.map((cells) => plain(cells[i] ?? '').length)))
  return lines.map((cells) =>
    cells
      .map((cell, i) =>
        i === 0 ? plain(cell).padEnd(widths[i] ?? 0) : plain(cell).padStart(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
