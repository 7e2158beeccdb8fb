// The test runner on projects of a few lines: what it counts, what it shows, and that nothing passes by not running.

import { afterAll, expect, test } from 'bun:test'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { seen } from './output.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-suite-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

const PASSING = `import { test } from 'bun:test'; test('one', () => {}); test('two', () => {})`
const FAILING = `import { expect, test } from 'bun:test'
test('three is two', () => { console.log('thinking'); expect(3).toBe(2) })`
const SKIPPING = `import { test } from 'bun:test'; import { requires } from './requirement.ts'
const moon = requires('a moon', false)
test.skipIf(!moon)('the tide > the shore', () => {}); test('one', () => {})`

test('counts what passed, and says so in the last line alone', async () => {
  const { lines, exitCode } = await suite({ 'src/a.test.ts': PASSING, 'e2e/b.test.ts': PASSING })

  expect(lines.at(-1)).toBe('4 passed, 0 failed')
  expect(lines.at(-2)).toBe('')
  expect(exitCode).toBe(0)
})

test('runs a part given by name, and only that', async () => {
  const { lines, exitCode } = await suite({ 'src/a.test.ts': FAILING, 'e2e/b.test.ts': PASSING }, [
    'b',
  ])

  expect(lines[0]).toStartWith('✓ b ')
  expect(lines.at(-1)).toBe('2 passed, 0 failed')
  expect(exitCode).toBe(0)
})

test('names the parts there are when asked for another', async () => {
  const { output, exitCode } = await suite({ 'e2e/b.test.ts': PASSING }, ['c'])

  expect(output).toBe('There is no part c. There are: types, lint, src, src-server, b.\n')
  expect(exitCode).toBe(64)
})

test('shows what a part printed if it failed, and not if it passed', async () => {
  const { output, lines, exitCode } = await suite({
    'src/a.test.ts': PASSING.replace('{}', `{ console.log('humming') }`),
    'e2e/b.test.ts': `${FAILING}; test('four', () => {})`,
  })

  expect(output).toContain('──── b (alone: npm test -- b)\n')
  expect(output).toContain('(fail) three is two')
  expect(output).not.toContain('(pass)')
  expect(output).toContain('thinking')
  expect(output).not.toContain('humming')
  expect(lines.at(-1)).toBe('3 passed, 1 failed')
  expect(exitCode).toBe(1)
})

test('a part that dies without a report counts as one failure', async () => {
  const dying = `import { test } from 'bun:test'; test('one', () => process.exit(0))`
  const { lines, exitCode } = await suite({ 'e2e/b.test.ts': dying }, ['b'])

  expect(lines.at(-1)).toBe('0 passed, 1 failed')
  expect(exitCode).toBe(1)
})

test('a file that cannot be loaded fails', async () => {
  const { lines, exitCode } = await suite({ 'e2e/b.test.ts': `throw new Error('no')` }, ['b'])

  expect(lines.at(-1)).toBe('0 passed, 1 failed')
  expect(exitCode).toBe(1)
})

test('a part in which no test ran fails', async () => {
  const { output, exitCode } = await suite({ 'e2e/b.test.ts': '' }, ['b'])

  expect(output).toContain('no test ran')
  expect(exitCode).toBe(1)
})

test('tells which tests were skipped, and what they would have needed', async () => {
  const { output, lines, exitCode } = await suite({ 'e2e/b.test.ts': SKIPPING }, ['b'])

  expect(output).toContain('Skipped in b (missing: a moon):\n  the tide > the shore\n')
  expect(lines.at(-1)).toBe('1 passed, 0 failed, 1 skipped')
  expect(exitCode).toBe(0)
})

test('under CI a missing requirement fails, and so does any other skip', async () => {
  const files = {
    'e2e/b.test.ts': SKIPPING,
    'e2e/c.test.ts': PASSING.replace('test(', 'test.skip('),
  }
  const { output, lines, exitCode } = await suite(files, ['b', 'c'], { CI: 'true' })

  expect(output).toContain('a moon is missing')
  expect(lines.at(-1)).toBe('1 passed, 2 failed')
  expect(exitCode).toBe(1)
})

test('behind a proxy, tests ask this machine directly', async () => {
  const asking = `import { test } from 'bun:test'
test('one', async () => {
  const server = Bun.serve({ port: 0, fetch: () => new Response() })
  await fetch(server.url)
  await fetch('http://127.0.0.1:' + server.port)
})`
  const nowhere = { HTTP_PROXY: 'http://127.0.0.1:1', no_proxy: 'intranet.example' }
  const { lines } = await suite({ 'e2e/b.test.ts': asking }, ['b'], nowhere)

  expect(lines.at(-1)).toBe('1 passed, 0 failed')
})

// What is left running holds the output of its part open: as long as it lives, the suite would wait for more.
const LEAVING = `import { test } from 'bun:test'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
test('one', async () => {
  Bun.spawn(['sleep', '1000'], { stdio: ['ignore', 'inherit', 'inherit'] })
  console.log('left', mkdtempSync(join(tmpdir(), 'left-')))
  if (process.env.HANG) await new Promise(() => setInterval(() => {}, 1000))
}, 1e6)`

test('ends what a test leaves running', async () => {
  const { lines, exitCode } = await suite({ 'e2e/b.test.ts': LEAVING }, ['b'])

  expect(lines.at(-1)).toBe('1 passed, 0 failed')
  expect(exitCode).toBe(0)
})

test('a signal ends it, with all that runs and all that was put among the temporary files', async () => {
  const child = start({ 'e2e/b.test.ts': LEAVING }, ['b', '--verbose'], { HANG: '1' })
  const [, left = ''] = /left (.+)/.exec(await seen(child.stdout, 'left')) ?? []
  expect(existsSync(left)).toBe(true)
  child.kill('SIGINT')

  expect(await child.exited).toBe(130)
  expect(existsSync(left)).toBe(false)
})

type Files = Readonly<Record<string, string>>

/** Runs the suite on a project made of these files; without names, all parts of it but types and lint. */
async function suite(files: Files, names: readonly string[] = ['src', 'b'], env = {}) {
  const child = start(files, names, env)
  const [output, complaints] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  const lines = output.trimEnd().split('\n')
  return { output: output + complaints, lines, exitCode: await child.exited }
}

function start(files: Files, names: readonly string[], env: Readonly<Record<string, string>>) {
  const project = mkdtempSync(join(folder, 'project-'))
  for (const file of ['suite', 'part', 'junit', 'requirement', 'direct'])
    cpSync(join(import.meta.dir, `${file}.ts`), join(project, 'e2e', `${file}.ts`))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(project, path)), { recursive: true })
    writeFileSync(join(project, path), content)
  }
  return Bun.spawn([process.execPath, 'e2e/suite.ts', ...names], {
    cwd: project,
    env: { PATH: process.env['PATH'], ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  })
}
