// The SQL that was generated says what the tables say: the tool that generates it finds nothing to add.

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const CONFIG = join(ROOT, 'src/storage/drizzle.config.ts')
const MIGRATIONS = join(ROOT, 'src/storage/migrations')
const TOOL = join(ROOT, 'node_modules/drizzle-kit/bin.cjs')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'munjigi-migrations-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs `drizzle-kit` with our own settings on a copy of the migrations. Gives the copy, and what the tool said. */
function runTool(command: string, moreTables: readonly string[] = []) {
  const copy = mkdtempSync(join(folder, 'copy-'))
  cpSync(MIGRATIONS, join(copy, 'migrations'), { recursive: true })
  // The tool takes `out` for relative, whatever it is.
  writeFileSync(
    join(copy, 'drizzle.config.ts'),
    `import config from ${JSON.stringify(CONFIG)}
    const schema = [${JSON.stringify(ROOT)} + config.schema, ...${JSON.stringify(moreTables)}]
    export default { ...config, schema, out: './migrations' }`,
  )
  const tool = Bun.spawnSync(
    [process.execPath, '--bun', TOOL, command, '--config', 'drizzle.config.ts'],
    { cwd: copy, env: { PATH: process.env['PATH'] } },
  )
  const output = `${tool.stdout}${tool.stderr}`
  return { exitCode: tool.exitCode, output, out: join(copy, 'migrations') }
}

test('generating again changes nothing', () => {
  const { exitCode, output, out } = runTool('generate')
  expect(output).toContain('No schema changes, nothing to migrate')
  expect(exitCode).toBe(0)
  expect(contentsOf(out)).toEqual(contentsOf(MIGRATIONS))
}, 60_000)

test('generating would change something if a table were not in the migrations', () => {
  const table = join(folder, 'table.ts')
  writeFileSync(
    table,
    `import { integer, sqliteTable } from ${JSON.stringify(join(ROOT, 'node_modules/drizzle-orm/sqlite-core'))}
    export const later = sqliteTable('later', { id: integer('id').primaryKey() })`,
  )
  const { out } = runTool('generate', [table])
  const added = Object.keys(contentsOf(out)).filter((file) => !(file in contentsOf(MIGRATIONS)))
  expect(added.filter((file) => file.endsWith('.sql'))).toHaveLength(1)
}, 60_000)

test('drizzle-kit finds the migrations consistent', () => {
  const { exitCode, output } = runTool('check')
  expect(output).toContain("Everything's fine")
  expect(exitCode).toBe(0)
}, 60_000)

function contentsOf(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return Object.fromEntries(
    files
      .filter((file) => /\.\w+$/.test(file))
      .map((file) => [file, readFileSync(join(path, file), 'utf8')]),
  )
}
