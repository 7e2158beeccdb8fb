// The way to the drills: a name runs its program, anything else lists what there is. What one starts ends with it.

import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canRunSqld } from './database.ts'
import { seen } from './output.ts'
import { requires } from './requirement.ts'
import { until } from './until.ts'

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

const folder = mkdtempSync(join(tmpdir(), 'munjigi-drill-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

const canSee = requires('Linux', process.platform === 'linux') && canRunSqld()
test.skipIf(!canSee)('what a drill has started ends with it, even if it is killed', async () => {
  // Nothing happens in them: a server that has something to say ends when nobody hears it any more.
  const drill = `
    const { startServer } = await import('./e2e/server.ts')
    const { startSqld } = await import('./e2e/database.ts')
    const both = [await startServer({ mode: 'serve' }), await startSqld()]
    console.log('started')
    await new Promise(() => setInterval(() => both, 1_000))`
  const child = Bun.spawn([process.execPath, '-e', drill], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], TMPDIR: folder },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  await seen(child.stdout, 'started')
  const pids = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
  const started = pids.trim().split(' ')
  expect(started).toHaveLength(2)

  child.kill('SIGKILL')
  // A process that has ended stays in the list until it is waited for, but has no program any more.
  await until('none is left', () => !started.some((pid) => existsSync(`/proc/${pid}/exe`)))
})
