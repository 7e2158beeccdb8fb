// The command line where something is wrong: a path that is mistaken, a database that is locked, a name that is mistyped. What
// is told, by which exit code, and that nothing was made.

import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@libsql/client'
import { KIM } from '../src/testing/app.ts'
import { canRunSqld, lockFile, startSqld } from './database.ts'
import { freePorts } from './ports.ts'
import { operate, startProgram } from './program.ts'
import { requires } from './requirement.ts'
import { TEST_SECRET } from './server.ts'
import { until } from './until.ts'

setDefaultTimeout(60_000)

const hasSqld = canRunSqld()

const folder = mkdtempSync(join(tmpdir(), 'munjigi-operator-'))
afterAll(() => rmSync(folder, { recursive: true }))
const newFolder = () => mkdtempSync(join(folder, 'place-'))

const munjigi = (path: string, ...args: string[]) => operate(`file:${path}`, ...args)

/** A file with one user to be imported. */
function oneUser(): string {
  const source = join(newFolder(), 'users.ndjson')
  const passwordHash = '$2b$04$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq'
  writeFileSync(source, JSON.stringify({ email: KIM.email, passwordHash }))
  return source
}

describe('where there is no database', () => {
  test.each<[string[]]>([
    [['users', 'list']],
    [['users', 'import', oneUser()]],
    [['sessions', 'end', '--user', KIM.email]],
    [['keys', 'list']],
    [['keys', 'drop', 'kid']],
    [['backup', join(folder, 'none.backup')]],
  ])('%j says so and makes none', async (args) => {
    const path = join(newFolder(), 'mistyped', 'munjigi.db')
    const { exitCode, stdout, stderr } = await munjigi(path, ...args)
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(stderr).toStartWith(`munjigi: there is no database at ${path}`)
    expect(existsSync(join(path, '..'))).toBe(false)
  })

  test.skipIf(!hasSqld)('on a server they say so as well, and leave it empty', async () => {
    await using sqld = await startSqld()
    const file = join(newFolder(), 'none.backup')
    for (const args of [
      ['users', 'list'],
      ['keys', 'list'],
      ['backup', file],
    ]) {
      const { exitCode, stdout, stderr } = await operate(sqld.url, ...args)
      expect([exitCode, stdout]).toEqual([1, ''])
      expect(stderr).toStartWith(`munjigi: there is no database at ${sqld.url}: check`)
    }
    const { stdout } = await operate(sqld.url, 'migrate', '--check', '--json')
    expect(JSON.parse(stdout).missing).not.toEqual([])
  })

  test('users import --check needs none, and makes none', async () => {
    const home = newFolder()
    const { exitCode, stdout } = await munjigi(
      join(home, 'munjigi.db'),
      ...['users', 'import', '--check', oneUser()],
    )
    expect([exitCode, stdout]).toEqual([0, '1 can be imported, 0 refused\n'])
    expect(readdirSync(home)).toEqual([])
  })

  test('migrate makes one', async () => {
    const path = join(newFolder(), 'munjigi.db')
    expect((await munjigi(path, 'migrate')).exitCode).toBe(0)
    expect((await munjigi(path, 'users', 'list', '--json')).stdout).toBe('[]\n')
  })
})

describe('what is mistyped', () => {
  const inFolder = (cwd: string, ...args: string[]) => {
    const main = join(import.meta.dir, '../src/main.ts')
    const command = [process.execPath, '--no-env-file', main, ...args]
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, env: {} })
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
  }

  test('after `secrets` makes none in a folder of that name', () => {
    const home = newFolder()
    for (const words of [['rotat'], ['rotat', '--use-next'], ['']]) {
      const { exitCode, stdout, stderr } = inFolder(home, 'secrets', ...words)
      expect([exitCode, stdout]).toEqual([64, ''])
      expect(stderr).toStartWith('error: ')
    }
    expect(readdirSync(home)).toEqual([])
  })

  test('is not a folder that exists, or one that is written as a path', () => {
    const home = newFolder()
    mkdirSync(join(home, 'there'))
    for (const name of ['there', './new', '.', join(home, 'other')])
      expect(inFolder(home, 'secrets', name).exitCode).toBe(0)
    expect(readdirSync(home).sort()).toEqual([
      'database',
      'munjigi',
      'new',
      'other',
      'private',
      'there',
    ])
  })

  test('as the user to begin after, by an address, lists nobody', () => {
    const { exitCode, stdout, stderr } = inFolder(
      newFolder(),
      'users',
      'list',
      '--after',
      KIM.email,
    )
    expect([exitCode, stdout, stderr]).toEqual([
      64,
      '',
      expect.stringContaining('the id of a user'),
    ])
  })

  test('as a number is answered with how large it may be', () => {
    const { exitCode, stderr } = inFolder(newFolder(), 'users', 'list', '--limit', '9999999')
    expect([exitCode, stderr]).toEqual([64, expect.stringContaining('from 1 to 999999')])
  })
})

test.each([[['help']], [['keys', 'help']], [['users', 'help', 'list']], [['secrets', 'help']]])(
  '%j is help, not a mistake',
  async (args) => {
    const { exitCode, stdout, stderr } = await startProgram(args, {}).ended
    expect([exitCode, stdout, stderr]).toEqual([0, expect.stringContaining('Usage: munjigi'), ''])
  },
)

describe('a list', () => {
  async function list<Out extends 'pipe' | Bun.BunFile>(stdout: Out) {
    const path = join(newFolder(), 'munjigi.db')
    await munjigi(path, 'migrate')
    const command = [process.execPath, '--no-env-file', 'src/main.ts', 'users', 'list', '--json']
    return Bun.spawn<'ignore', Out, 'pipe'>(command, {
      cwd: join(import.meta.dir, '..'),
      env: { MUNJIGI_DATABASE_URL: `file:${path}`, MUNJIGI_SECRET: TEST_SECRET },
      stdin: 'ignore',
      stdout,
      stderr: 'pipe',
    })
  }
  const endOf = async ({ exited, stderr }: { exited: Promise<number>; stderr: ReadableStream }) => [
    await exited,
    await new Response(stderr).text(),
  ]

  test.skipIf(!requires('/dev/full', existsSync('/dev/full')))(
    'for which there is no room on the disk is a failure, not a short list',
    async () => {
      const child = await list(Bun.file('/dev/full'))
      expect(await endOf(child)).toEqual([69, 'munjigi: cannot write (ENOSPC)\n'])
    },
  )

  test('whose reader has gone is no failure', async () => {
    const child = await list('pipe')
    await child.stdout.cancel()
    expect(await endOf(child)).toEqual([0, ''])
  })
})

test.skipIf(!hasSqld)('a list may be longer than what a server puts into one answer', async () => {
  await using sqld = await startSqld()
  await operate(sqld.url, 'migrate')
  const client = createClient({ url: sqld.url })
  await client.execute(`WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)
    INSERT INTO users (id, email, email_key, password_hash, created_at)
    SELECT 'usr_' || i, i || '@example.com', i || '@example.com', printf('%300s', 'no hash'), i FROM n`)
  client.close()
  const list = async (...args: string[]) => {
    const { stdout, stderr } = await operate(sqld.url, 'users', 'list', '--json', ...args)
    expect(stderr).toBe('')
    return (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id)
  }
  const all = Array.from({ length: 40_000 }, (_, i) => `usr_${10_000 + i}`)
  expect(await list('--limit', '999999')).toEqual(all)
  expect(await list('--limit', '4000', '--after', 'usr_10009')).toEqual(all.slice(10, 4_010))
})

describe('set-password', () => {
  async function place() {
    const path = join(newFolder(), 'munjigi.db')
    await munjigi(path, 'migrate')
    await munjigi(path, 'users', 'import', oneUser())
    const hash = () => {
      using database = new Database(path, { readonly: true })
      return database.query('SELECT password_hash FROM users').get()
    }
    const env = {
      PATH: process.env['PATH'],
      MUNJIGI_DATABASE_URL: `file:${path}`,
      MUNJIGI_SECRET: TEST_SECRET,
    }
    const command = [process.execPath, '--no-env-file', 'src/main.ts']
    command.push('users', 'set-password', KIM.email)
    return { hash, command, options: { cwd: join(import.meta.dir, '..'), env } }
  }

  test('reads one line of a pipe that stays open', async () => {
    const { hash, command, options } = await place()
    const child = Bun.spawn(command, { ...options, stdin: 'pipe', stdout: 'pipe' })
    child.stdin.write('한 a new long ')
    child.stdin.flush()
    child.stdin.write('password\r\n')
    child.stdin.flush()
    expect(await child.exited).toBe(0)
    child.stdin.end()
    const { password_hash: stored } = hash() as { password_hash: string }
    expect(await Bun.password.verify('한 a new long password', stored)).toBe(true)
  })

  test.each([
    ['a pipe', false],
    ['a terminal', true],
  ])('of bytes that are no text, from %s, is refused', async (_, onTerminal) => {
    const { hash, command, options } = await place()
    const before = hash()
    const bytes = Buffer.from('a new long p\xe4ssword\r', 'latin1')
    const { exitCode, said } = onTerminal
      ? await typed({ command, options }, bytes)
      : await piped({ command, options }, bytes)
    expect(said).toContain('munjigi: the password is not text in UTF-8; nothing was changed')
    expect([exitCode, hash()]).toEqual([1, before])
  })

  test('does not take the byte order mark of a file for a part of the password', async () => {
    const { hash, command, options } = await place()
    const bytes = Buffer.from('\ufeffa new long password\r\n')
    expect((await piped({ command, options }, bytes)).exitCode).toBe(0)
    const { password_hash: stored } = hash() as { password_hash: string }
    expect(await Bun.password.verify('a new long password', stored)).toBe(true)
  })

  test('is stopped by Ctrl-C, and says so', async () => {
    const { hash, command, options } = await place()
    const before = hash()
    const { exitCode, said } = await typed({ command, options }, Buffer.from('half a passw\x03'))
    expect(said).toContain('munjigi: stopped, nothing was changed')
    expect(said).not.toContain('half')
    expect([exitCode, hash()]).toEqual([130, before])
  })

  test('is read from a terminal without being shown', async () => {
    const { hash, command, options } = await place()
    const before = hash()
    const { exitCode, said } = await typed({ command, options }, Buffer.from('한 a new password\r'))
    expect([exitCode, hash()]).toEqual([0, expect.not.objectContaining(before as object)])
    expect(said).not.toContain('a new password\r')
    expect(said).not.toContain('한')
  })

  interface Call {
    readonly command: string[]
    readonly options: { cwd: string; env: Record<string, string | undefined> }
  }

  async function piped({ command, options }: Call, bytes: Uint8Array) {
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { ...options, stdin: bytes })
    return { exitCode, said: `${stdout}${stderr}` }
  }

  /** Types when it is asked. */
  async function typed({ command, options }: Call, bytes: Uint8Array) {
    let said = ''
    let asked = false
    const child = Bun.spawn(command, {
      ...options,
      terminal: {
        data(terminal, heard) {
          said += new TextDecoder().decode(heard)
          if (asked || !said.includes('New password for')) return
          asked = true
          terminal.write(bytes)
        },
      },
    })
    return { exitCode: await child.exited, said }
  }
})

/** Whether a process may be the first of a space of its own, as in a container. */
const canBeFirst =
  Bun.which('unshare') !== null && Bun.spawnSync(['unshare', '--pid', '--fork', 'true']).success

test.skipIf(!requires('unshare, and root', canBeFirst)).each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('in a container %s ends a command', async (signal, exitCode) => {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(path, 'migrate')
  const program = [process.execPath, '--no-env-file', 'src/main.ts', 'users', 'import']
  const unshared = Bun.spawn(['unshare', '--pid', '--fork', '--kill-child', ...program], {
    cwd: join(import.meta.dir, '..'),
    env: { MUNJIGI_DATABASE_URL: `file:${path}`, MUNJIGI_SECRET: TEST_SECRET },
    stdin: 'pipe',
    stderr: 'pipe',
  })
  // It says so when it has begun, and goes on waiting for more.
  unshared.stdin.write('nonsense\n')
  unshared.stdin.flush()
  await unshared.stderr.getReader().read()
  const children = `/proc/${unshared.pid}/task/${unshared.pid}/children`
  process.kill(Number(readFileSync(children, 'utf8')), signal)
  try {
    expect(await until('it ends', () => unshared.exitCode ?? undefined)).toBe(exitCode)
  } finally {
    unshared.kill('SIGKILL')
  }
})

test.skipIf(!requires('unshare, and root', canBeFirst))(
  'in a container the exporter of containers ends when it is told to',
  async () => {
    const [port = 0] = await freePorts(1)
    const program = [process.execPath, '--no-env-file', 'monitoring/docker-exporter.ts', `${port}`]
    const unshared = Bun.spawn(['unshare', '--pid', '--fork', '--kill-child', ...program], {
      cwd: join(import.meta.dir, '..'),
    })
    try {
      const healthy = () => fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)
      await until('it listens', healthy)
      const children = `/proc/${unshared.pid}/task/${unshared.pid}/children`
      process.kill(Number(readFileSync(children, 'utf8')), 'SIGTERM')
      expect(await until('it ends', () => unshared.exitCode ?? undefined)).toBe(0)
    } finally {
      unshared.kill('SIGKILL')
    }
  },
)

test('a restore from a pipe, which is read twice, is refused in its dry run already', async () => {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(path, 'migrate')
  const file = join(newFolder(), 'one.backup')
  expect((await munjigi(path, 'backup', file)).exitCode).toBe(0)
  const restore = [process.execPath, '--no-env-file', 'src/main.ts', 'restore', '--dry-run']
  const { exitCode, stderr } = Bun.spawnSync(
    ['sh', '-c', 'cat "$0" | "$@" /dev/stdin', file, ...restore],
    {
      cwd: join(import.meta.dir, '..'),
      env: {
        PATH: process.env['PATH'],
        MUNJIGI_DATABASE_URL: `file:${path}`,
        MUNJIGI_SECRET: TEST_SECRET,
      },
    },
  )
  expect([exitCode, stderr.toString()]).toEqual([
    1,
    'munjigi: /dev/stdin is a pipe, and a restore reads twice: put the backup into a file\n',
  ])
})

test('a user can also be named by the id, which is all that a line of the log says', async () => {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(path, 'migrate')
  await munjigi(path, 'users', 'import', oneUser())
  const listed = await munjigi(path, 'users', 'list', '--json')
  const [{ id }] = JSON.parse(listed.stdout) as [{ id: string }]
  expect((await munjigi(path, 'users', 'show', id)).stdout).toContain(KIM.email)
  const { exitCode, stdout } = await munjigi(path, 'sessions', 'end', '--user', id)
  expect([exitCode, stdout]).toEqual([0, `ended 0 session(s) of ${KIM.email}\n`])
  const other = await munjigi(path, 'users', 'disable', `${id}0`)
  expect([other.exitCode, other.stderr]).toEqual([1, `munjigi: there is no user "${id}0"\n`])
})

test('a list that reached its limit says how to go on, to people only', async () => {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(path, 'migrate')
  await munjigi(path, 'users', 'import', oneUser())
  const list = async (...args: string[]) =>
    (await munjigi(path, 'users', 'list', ...args)).stderr.replace(/usr_\S+/, 'usr_')
  expect(await list('--limit', '1')).toBe('munjigi: there may be more: --after usr_\n')
  expect([await list(), await list('--limit', '1', '--json')]).toEqual(['', ''])
})

test('what the log says of a database that is locked is not among the JSON', async () => {
  const path = join(newFolder(), 'munjigi.db')
  await munjigi(path, 'migrate')
  await munjigi(path, 'users', 'import', oneUser())
  await using _lock = await lockFile(path)
  const { exitCode, stdout, stderr } = await munjigi(path, 'users', 'disable', '--json', KIM.email)
  expect([exitCode, stdout]).toEqual([69, ''])
  expect(stderr).toContain('"event":"database.fault"')
  expect(stderr).toContain('the log says why')
})
