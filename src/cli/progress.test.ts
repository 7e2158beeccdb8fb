// How far long work is, as a terminal shows it.

import { expect, test } from 'bun:test'
import { join } from 'node:path'

const TEXT = ' backing up 50 % (500000 of 1000000 rows)'

test.each([
  [80, 30, TEXT],
  [60, 18, TEXT],
  [42, 0, TEXT],
  [36, 0, ' backing up 50 % (500000 of 1000000'],
])(
  'on a terminal of %d columns the bar has %d, so that its line does not wrap',
  async (cols, width, text) => {
    let said = ''
    const program = `
    const { createProgress } = await import('./src/cli/progress.ts')
    createProgress('backing up', { now: () => 0, elapsed: () => 0 }).at(500000, 1000000)`
    const child = Bun.spawn([process.execPath, '--no-env-file', '-e', program], {
      cwd: join(import.meta.dir, '../..'),
      terminal: {
        cols,
        rows: 24,
        data(_, heard) {
          said += new TextDecoder().decode(heard, { stream: true })
        },
      },
    })
    await child.exited
    expect(said.match(/[█░]/g) ?? []).toHaveLength(width)
    expect(said).toEndWith(text)
  },
)
