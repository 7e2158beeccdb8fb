// The way to the drills: a name runs its program, anything else lists what there is.

import { expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '..')

function drill(...args: readonly string[]) {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, 'e2e/drill.ts', ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] },
  })
  return { exitCode, stderr: stderr.toString() }
}

const names = readdirSync(join(ROOT, 'e2e', 'drills'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3))

test.each([[], ['nothing'], ['../stack'], ['']])(
  'without a name of a drill it lists them: %p',
  (...args) => {
    const { exitCode, stderr } = drill(...args)
    expect(exitCode).toBe(64)
    expect(names.filter((name) => !stderr.includes(name))).toEqual([])
  },
)

test.each<[string, ...string[]]>([
  ['crash', 'x'],
  ['writers', '0'],
  ['fuzz', '--rounds', '1.5'],
  ['flood', '--seconds', '-1'],
])('%s runs, and takes nothing for a number that is none: %p', (...args) => {
  const { exitCode, stderr } = drill(...args)
  expect(exitCode).not.toBe(0)
  expect(stderr).toMatch(/whole number|argument/)
})
