// Users of another system, taken over by the command line while a server runs: they log in with the passwords they had, and
// their hashes become ours.

import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOGIN, SIGNUP } from '../src/testing/app.ts'
import { ask } from './ask.ts'
import { openAlone } from './database.ts'
import type { Ended } from './program.ts'
import { operate } from './program.ts'
import type { Server } from './server.ts'
import { startServer } from './server.ts'

// On a busy machine.
setDefaultTimeout(60_000)

const PAGE = join(import.meta.dir, '..', 'docs/passwords.md')
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
  return await operate(`file:${into}`, 'users', 'import', source, ...options)
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
    ['a file that is not there', join(folder, 'none'), 69, 'ENOENT'],
  ])('reads %s as what it is', async (_, source, code, words) => {
    const { exitCode, stdout, stderr } = await operate(`file:${file}`, 'users', 'import', source)
    expect([exitCode, stdout + stderr]).toEqual([code, expect.stringContaining(words)])
  })
})

/** The functions that docs/passwords.md shows, for hashes that are not taken as they are. */
const NAMES = ['betterAuth', 'keycloak', 'spring', 'aspnet', 'werkzeug', 'nobodys']
const [, shown = ''] = /```js\n([\s\S]*?)```/.exec(readFileSync(PAGE, 'utf8')) ?? []
const body = `${shown.replace(/^import .*$/m, '')}; return { ${NAMES.join(', ')} }`
const convert: Readonly<Record<string, (hash?: unknown) => string>> = new Function(
  'randomBytes',
  body,
)(randomBytes)

/** Made by better-auth 1.7, Lucia 3, Keycloak 26, Spring Security 6, asp-identity-pw 1.1 for Node and Werkzeug 3.1. */
const FOREIGN: ReadonlyArray<readonly [name: string, by: string, hash: unknown]> = [
  [
    'better-auth',
    'betterAuth',
    '754decb0e188a6ad66cb6a4c894c7088:70dd9fe1a90e925d04851be3e6b32c513aa5631146495d325326b921bea0c6605bc13d0be1befac3cb556eeb819030d165455ee9c13e297981d7e66c927006ca',
  ],
  [
    'lucia',
    'betterAuth',
    's2:ee70bf4e62a9a7ad04b61a60ac83897f:cf2c80d60ad55269acf7035cbcebff2f6e6787ee1eb8b58460d332e9ce11d10677f65409d3d9edcf9591dd61a14783b7d3e7b52da10255cc8c81cf8eb8858f1b',
  ],
  [
    'keycloak-argon2',
    'keycloak',
    {
      secretData:
        '{"value":"3Ngyjl6W2klNy0wrQw4SjPy5CK10ITAPv87QIDQORu4=","salt":"Z7CRBc0sko+7dIHSTvWUTA==","additionalParameters":{}}',
      credentialData:
        '{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}',
    },
  ],
  [
    'keycloak-sha256',
    'keycloak',
    {
      secretData:
        '{"value":"G2vA8P4rHqJDeHhzTkmPTg4PGSJX+nfJ1Y+6HG5DsLKU/FMQ+rOLyLbIL+ycKucgZ08v8b4X8dNmDvjeCrZugg==","salt":"KDfJluiMxKnahuMz0BFjJQ==","additionalParameters":{}}',
      credentialData:
        '{"hashIterations":1000,"algorithm":"pbkdf2-sha256","additionalParameters":{}}',
    },
  ],
  [
    'keycloak-sha512',
    'keycloak',
    {
      secretData:
        '{"value":"60Lee4oUpCR0++m+qLRDPJSSfxykuJT0W8TKHejYn6vf/GkMjLqBHDlOzRTwXqsJtXhtbtWDA0q+mnLqXMvdMw==","salt":"wNVrBODC1Pq+RmwKegb69Q==","additionalParameters":{}}',
      credentialData:
        '{"hashIterations":1000,"algorithm":"pbkdf2-sha512","additionalParameters":{}}',
    },
  ],
  ['spring-bcrypt', 'spring', `{bcrypt}${HASHES.bcrypt}`],
  [
    'spring-argon2',
    'spring',
    '{argon2@SpringSecurity_v5_8}$argon2id$v=19$m=1024,t=2,p=2$8L/4Q1zpJOyWWSNlmsaImA$Q9VnZXqATe5KOOO8M8UUl99J2QDkifvusR0ggYDHwTM',
  ],
  [
    'spring-scrypt',
    'spring',
    '{scrypt@SpringSecurity_v5_8}$a0802$BxY1IDxhH8NIWg6rfkumpQ==$Xzpe3dNKGUQTadCYsvG3BmXYFqop8p3eS+6tUXlMyX8=',
  ],
  [
    'spring-pbkdf2',
    'spring',
    '{pbkdf2@SpringSecurity_v5_8}62ef78fb1492933d6c945b2056c8a14b63267953c09c5a9410260d9bd9871ed3553e335f4b8a9a319ef767b23c9b1e2a',
  ],
  [
    'aspnet',
    'aspnet',
    'AQAAAAEAACcQAAAAEH0Nmn5fhuEvellWVkRz5M8TVuPbDg3LQ1uGpfq4Qi0Ee9TySOJlVbesxKqO6DlsdA==',
  ],
  [
    'werkzeug-scrypt',
    'werkzeug',
    'scrypt:32768:8:1$MKpjVguqd56Y5jVc$0f29e3b18dbf78658985620448b6fb59abd32aa7ad0a35dbd9268b63c00bb20dd83ebeccfb494fefee7baef62983bbd71615deca70f526486df60986125a8184',
  ],
  [
    'werkzeug-pbkdf2',
    'werkzeug',
    'pbkdf2:sha512:1000$McVgsJHhLHzgjwEi$3b80b50236e8898b24cd7d0c1329e9101188c6841c7c754556c31334a7a84af42659a3fd938d3c4a643d6f272788ea5cff699244dfaa97b9f8800892e1d0cea2',
  ],
]

describe('what docs/passwords.md makes of hashes that are not taken as they are', () => {
  test('is imported, and their passwords go on working', async () => {
    const lines = FOREIGN.map(([name, by, hash]) =>
      JSON.stringify({ email: `${name}@example.net`, passwordHash: convert[by]?.(hash) }),
    )
    const { stdout } = await runImport(lines)
    expect(stdout).toBe(`${FOREIGN.length} imported, 0 present, 0 refused\n`)
    for (const [name] of FOREIGN) {
      const email = `${name}@example.net`
      expect([name, await login(email, `${PASSWORD}.`)]).toEqual([name, 'INVALID_CREDENTIALS'])
      expect([name, await login(email, PASSWORD)]).toEqual([name, 'LoggedIn'])
    }
  })

  test('keeps the address of a user without a password from everybody', async () => {
    const email = 'social@example.net'
    const lines = [JSON.stringify({ email, passwordHash: convert['nobodys']?.() })]
    expect((await runImport(lines)).stdout).toBe('1 imported, 0 present, 0 refused\n')
    expect(await login(email, PASSWORD)).toBe('INVALID_CREDENTIALS')
    const { code } = await ask(server.url, SIGNUP, { variables: { email, password: PASSWORD } })
    expect(code).toBe('EMAIL_TAKEN')
  })
})

test('what docs/passwords.md writes of all users is what an import takes', async () => {
  const page = readFileSync(PAGE, 'utf8')
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
