// Users of another system, taken over by the command line while a server runs: they log in with the passwords they had, and
// their hashes become ours.

import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOGIN } from '../src/testing/app.ts'
import { ask } from './ask.ts'
import { openAlone } from './database.ts'
import type { Ended } from './program.ts'
import { startProgram } from './program.ts'
import type { Server } from './server.ts'
import { startServer, TEST_SECRET } from './server.ts'

// On a busy machine.
setDefaultTimeout(60_000)

const PASSWORD = '문지기 correct horse'
/** Made by Django 5.2, bcrypt for Python and argon2-cffi; the costs are small, for tests. */
const HASHES = {
  django: 'pbkdf2_sha256$1000$saltsaltsalt$gEH49FNBBqFmhxphsXNDI6GFVPw+eaTStjJO3D6hzis=',
  bcrypt: '$2b$04$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq',
  argon: '$argon2id$v=19$m=64,t=2,p=4$+YlGPFXPvBLbEh5eTEyOHA$Ll163R7XBD5q1aCBt8DaQQ',
  scrypt:
    '$scrypt$ln=10,r=8,p=1$t7YWIsR4TylFiNF6D8HYmw$dGerBZmRlyoDSoFjEGfDGiIw0zIUp5CoAYdrX4ohUsw',
}
const LINES = Object.entries(HASHES).map(([name, passwordHash]) =>
  JSON.stringify({ email: `${name}@example.com`, passwordHash }),
)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-import-'))
const file = join(folder, 'munjigi.db')
let server: Server

beforeAll(async () => {
  server = await startServer({ mode: 'serve', database: `file:${file}` })
  await runImport(LINES)
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function runImport(
  lines: readonly string[],
  { into = file, options = [] }: { into?: string; options?: readonly string[] } = {},
): Promise<Ended> {
  const source = join(folder, 'users.ndjson')
  writeFileSync(source, `${lines.join('\n')}\n`)
  return await startProgram(['users', 'import', source, ...options], {
    MUNJIGI_DATABASE_URL: `file:${into}`,
    MUNJIGI_SECRET: TEST_SECRET,
  }).ended
}

async function login(email: string, password: string): Promise<string> {
  const { data, code } = await ask(server.url, LOGIN, { variables: { email, password } })
  return data?.login.__typename ?? String(code)
}

function hashOf(email: string): string {
  using rows = new Database(file, { readonly: true })
  const query = rows.query<{ hash: string }, [string]>(
    'SELECT password_hash AS hash FROM users WHERE email = ?',
  )
  return query.get(email)?.hash ?? ''
}

describe('munjigi users import', () => {
  test('judges with --check and writes nothing, takes users over, and a second time changes nothing', async () => {
    const into = join(folder, 'another.db')
    await (await openAlone(`file:${into}`)).close()
    const check = await runImport(LINES, { into, options: ['--check'] })
    expect([check.exitCode, check.stdout]).toEqual([0, '4 can be imported, 0 refused\n'])
    const first = await runImport(LINES, { into, options: ['--json'] })
    expect([first.exitCode, JSON.parse(first.stdout)]).toEqual([
      0,
      { imported: 4, present: 0, refused: 0 },
    ])
    const again = await runImport(LINES, { into })
    expect([again.exitCode, again.stdout]).toEqual([0, '0 imported, 4 present, 0 refused\n'])
  })

  test.each(Object.entries(HASHES))(
    'a user with a hash of %s logs in, and the hash is ours from then on',
    async (name, hash) => {
      const email = `${name}@example.com`
      expect(await login(email, `${PASSWORD}.`)).toBe('INVALID_CREDENTIALS')
      expect(hashOf(email)).toBe(hash)
      expect(await login(email, PASSWORD)).toBe('LoggedIn')
      expect(hashOf(email)).toStartWith('$argon2id$v=19$m=19456,t=2,p=1$')
      expect(await login(email, PASSWORD)).toBe('LoggedIn')
    },
  )

  test('ends with 1 when a line was refused, and says which without repeating it', async () => {
    const absurd = HASHES.bcrypt.replace('$04$', '$31$')
    const lines = [...LINES, JSON.stringify({ email: 'absurd@example.com', passwordHash: absurd })]
    const { exitCode, stdout, stderr } = await runImport(lines)
    expect([exitCode, stdout]).toEqual([1, '0 imported, 4 present, 1 refused\n'])
    expect(stderr).toContain('line 5: passwordHash asks for more')
    expect(stdout + stderr).not.toMatch(/absurd|eU9xfD|\$2b/)
  })

  test.each([
    ['nothing at all', '/dev/null', 0, '0 imported'],
    ['a folder', tmpdir(), 69, 'cannot read (EISDIR)'],
  ])('reads %s as what it is', async (_, source, code, words) => {
    const { exitCode, stdout, stderr } = await startProgram(['users', 'import', source], {
      MUNJIGI_DATABASE_URL: `file:${file}`,
      MUNJIGI_SECRET: TEST_SECRET,
    }).ended
    expect([exitCode, stdout + stderr]).toEqual([code, expect.stringContaining(words)])
  })

  test('says when the file is not there', async () => {
    const { exitCode, stderr } = await startProgram(['users', 'import', join(folder, 'none')], {
      MUNJIGI_DATABASE_URL: `file:${file}`,
      MUNJIGI_SECRET: TEST_SECRET,
    }).ended
    expect(exitCode).toBe(69)
    expect(stderr).toContain('ENOENT')
  })
})

test('what docs/passwords.md writes of all users is what an import takes', async () => {
  const page = readFileSync(join(import.meta.dir, '..', 'docs/passwords.md'), 'utf8')
  const [, query = ''] = /<<'END' > users\.ndjson\n([^;]+;)\nEND/.exec(page) ?? []
  const gone = { email: 'gone@example.com', passwordHash: HASHES.bcrypt, disabled: true }
  const [here, elsewhere] = [join(folder, 'here.db'), join(folder, 'elsewhere.db')]
  for (const into of [here, elsewhere]) await (await openAlone(`file:${into}`)).close()
  await runImport([...LINES, JSON.stringify(gone)], { into: here })

  using before = new Database(here, { readonly: true })
  const lines = before.query<Record<string, string>, []>(query).all().flatMap(Object.values)
  const { stdout } = await runImport(lines, { into: elsewhere })
  expect(stdout).toBe('5 imported, 0 present, 0 refused\n')
  using after = new Database(elsewhere, { readonly: true })
  const kept =
    'SELECT email, password_hash, created_at, disabled_at IS NULL FROM users ORDER BY email'
  expect(after.query(kept).all()).toEqual(before.query(kept).all())
})
