// A fresh copy of the project on a machine that has Node or Bun and nothing else: the first start, the second, the
// signals, two at once, one that was killed. With an empty home and empty caches, so everything really is fetched.

import { afterAll, expect, test } from 'bun:test'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import project from '../package.json'
import { seen } from './output.ts'
import { requires } from './requirement.ts'
import { until } from './until.ts'

const root = join(import.meta.dir, '..')
const folder = mkdtempSync(join(tmpdir(), 'munjigi-launcher-'))

const VERSION = `munjigi ${project.version}\n`
const FETCHING = `munjigi: fetching Bun ${Bun.version} (once) …\n`
const INSTALLING = 'munjigi: installing the packages (once) …\n'
const NOWHERE = 'http://127.0.0.1:1/'

/** A cold start downloads about 60 MB. */
const COLD = 120_000

/** Some two hundred thousand files: on a busy machine they take minutes. */
const CLEARING = 600_000

afterAll(() => rm(folder, { recursive: true }), CLEARING)

const hasNode = requires('Node.js with npm', Boolean(Bun.which('node') && Bun.which('npm')))
const hasRegistry = requires('the package registry', canFetch(project.packageManager))
const hasGit = requires('git', Bun.which('git') !== null)
const withNode = test.skipIf(!(hasNode && hasRegistry && hasGit))
const withBun = test.skipIf(!(hasRegistry && hasGit))

withNode(
  'with Node alone, the first start fetches Bun and the packages, without development tools',
  async () => {
    const { machine, firstStart } = await installed()

    expect(firstStart).toEqual({ stdout: VERSION, stderr: FETCHING + INSTALLING, exitCode: 0 })
    expect(machine.has('node_modules/hono')).toBe(true)
    expect(machine.has('node_modules/typescript')).toBe(false)
    expect(machine.has('node_modules/@biomejs')).toBe(false)
  },
  COLD,
)

withNode(
  'a later start installs nothing, and needs no network',
  async () => {
    const { machine } = await installed()
    const offline = { npm_config_registry: NOWHERE, BUN_CONFIG_REGISTRY: NOWHERE }

    expect(await machine.run(['node', 'bin/munjigi.mjs', '--version'], offline)).toEqual({
      stdout: VERSION,
      stderr: '',
      exitCode: 0,
    })
  },
  COLD,
)

withBun(
  'with Bun alone, the first start installs the packages and runs, as `bun start` does',
  async () => {
    const machine = await createMachine('bun')

    expect(await machine.run(['bun', 'bin/munjigi.mjs', '--version'])).toEqual({
      stdout: VERSION,
      stderr: INSTALLING,
      exitCode: 0,
    })
    expect(readdirSync(join(machine.checkout, '.bun'))).toEqual([])

    const server = machine.start(['bun', 'start'])
    await started(server)
    server.endGroup()
    await server.exited
  },
  COLD,
)

withNode(
  'settings of the folder that it is started in run nothing and set nothing',
  async () => {
    const { machine } = await installed()
    const elsewhere = mkdtempSync(join(folder, 'elsewhere-'))
    writeFileSync(join(elsewhere, 'bunfig.toml'), 'preload = ["./stranger.ts"]\n')
    writeFileSync(join(elsewhere, 'stranger.ts'), "console.log('a stranger')\n")
    writeFileSync(join(elsewhere, '.env'), 'MUNJIGI_STRANGER=1\n')
    const launcher = join(machine.checkout, 'bin/munjigi.mjs')

    expect(await machine.run(['node', launcher, '--version'], {}, elsewhere)).toEqual({
      stdout: VERSION,
      stderr: '',
      exitCode: 0,
    })
    const settings = { MUNJIGI_DATABASE_URL: `file:${join(elsewhere, 'munjigi.db')}` }
    const migrated = await machine.run(['node', launcher, 'migrate'], settings, elsewhere)
    expect(migrated).toMatchObject({ stderr: '', exitCode: 0 })
  },
  COLD,
)

withNode(
  'a word that every object knows is no command',
  async () => {
    const { machine } = await installed()

    expect(await machine.run(['node', 'bin/munjigi.mjs', 'constructor'])).toMatchObject({
      stdout: '',
      stderr: expect.stringContaining("unknown command 'constructor'"),
      exitCode: 64,
    })
  },
  COLD,
)

withNode(
  'SIGTERM ends the server in order',
  async () => {
    const { machine } = await installed()
    const server = machine.start(['node', 'bin/munjigi.mjs', 'dev'])
    expect(await started(server)).toMatch(/http:\/\/127\.0\.0\.1:\d+\/graphql/)
    server.kill('SIGTERM')

    await seen(server.stdout, '"event":"server.stopped"')
    expect(await server.exited).toBe(0)
  },
  COLD,
)

withNode(
  'a second signal reaches the server too, and ends it at once',
  async () => {
    const { machine } = await installed()
    const server = machine.start(['node', 'bin/munjigi.mjs', 'dev'], {
      MUNJIGI_DRAIN_SECONDS: '60',
    })
    await started(server)
    server.kill('SIGTERM')
    await seen(server.stdout, '"event":"server.draining"')
    server.kill('SIGINT')

    expect(await server.exited).toBeGreaterThan(128)
  },
  COLD,
)

for (const command of [
  ['npm', 'start'],
  ['npm', 'exec', '--offline', '--', 'munjigi', 'dev'],
])
  withNode(
    `SIGTERM to ${command.slice(0, 2).join(' ')} ends the server in order, though a shell between them dies of it`,
    async () => {
      const { machine } = await installed()
      const server = machine.start(command)
      await started(server)
      server.kill('SIGTERM')

      // Of the server: npm has ended by then.
      await seen(server.stdout, '"event":"server.stopped"')
      await server.exited
    },
    COLD,
  )

withNode(
  'a server that a script of npm has started and left behind outlives the script',
  async () => {
    const { machine } = await installed()
    const leaving = 'node bin/munjigi.mjs dev & wait'
    for (const script of ['sh deploy.sh', 'cd ../munjigi && sh deploy.sh', leaving]) {
      const shell = machine.start(['sh', '-c', leaving], {
        npm_lifecycle_event: 'deploy',
        npm_lifecycle_script: script,
      })
      const [, url = ''] = /"url":"([^"]+)/.exec(await started(shell)) ?? []
      shell.kill('SIGKILL')
      await Bun.sleep(600)

      expect((await fetch(`${url}/livez`)).status).toBe(200)
      shell.endGroup()
    }
  },
  COLD,
)

withNode(
  'a server that a script of npm waits for, to go on after it, ends with the script',
  async () => {
    const { machine } = await installed()
    const script = 'node bin/munjigi.mjs dev && echo done'
    const shell = machine.start(['sh', '-c', script], { npm_lifecycle_script: script })
    await started(shell)
    shell.kill('SIGKILL')

    await seen(shell.stdout, '"event":"server.stopped"')
    await shell.exited
  },
  COLD,
)

withNode(
  'npm that is ended while all is being installed starts no server that stays',
  async () => {
    const machine = await createMachine('node', 'npm')
    const server = machine.start(['npm', 'start'])
    await seen(server.stderr, FETCHING)
    server.kill('SIGTERM')

    // Who still writes to it keeps it open.
    await new Response(server.stdout).text()
  },
  COLD,
)

withNode(
  'Ctrl-C in a terminal, which every process there hears, reaches the server once',
  async () => {
    const { machine } = await installed()
    let output = ''
    const server = Bun.spawn(['node', 'bin/munjigi.mjs', 'dev'], {
      cwd: machine.checkout,
      // A second signal during this second would end it at once, with another code.
      env: { ...machine.env, MUNJIGI_DRAIN_SECONDS: '1' },
      terminal: {
        data(terminal, bytes) {
          const startedBefore = output.includes('server.started')
          output += new TextDecoder().decode(bytes)
          if (!startedBefore && output.includes('server.started')) terminal.write('\x03')
        },
      },
    })

    expect(await server.exited).toBe(0)
    expect(output).toContain('server.stopped')
  },
  COLD,
)

withNode(
  'a terminal that changes its size tells what npm runs in it',
  async () => {
    const { machine } = await installed()
    const main = join(machine.checkout, 'src/main.ts')
    const whole = readFileSync(main)
    writeFileSync(main, 'setInterval(() => console.log(process.stdout.columns), 50)')
    let output = ''
    const child = Bun.spawn(['node', 'bin/munjigi.mjs'], {
      cwd: machine.checkout,
      env: { ...machine.env, npm_lifecycle_script: 'munjigi' },
      terminal: {
        cols: 101,
        data(terminal, bytes) {
          output += new TextDecoder().decode(bytes)
          if (output.includes('101')) terminal.resize(57, 24)
        },
      },
    })
    const isTold = until('it is told', () => output.includes('57'), 5_000)
    await isTold.finally(() => {
      child.kill()
      writeFileSync(main, whole)
    })
    await child.exited
  },
  COLD,
)

withNode(
  'three first starts at once, one of them for the tests, do not disturb each other',
  async () => {
    const machine = await createMachine('node', 'npm')
    const start = (...args: string[]) => machine.run(['node', 'bin/munjigi.mjs', ...args])
    const [one, other, forTests] = await Promise.all([
      start('--version'),
      start('--version'),
      start('test', 'no-such-part'),
    ])

    for (const { stdout, exitCode } of [one, other])
      expect({ stdout, exitCode }).toEqual({ stdout: VERSION, exitCode: 0 })
    expect(forTests.stderr).toContain('There are: types, lint, src,')
    expect(machine.has('node_modules/typescript')).toBe(true)
  },
  COLD,
)

withBun(
  'what a killed start left half done is no obstacle for the next',
  async () => {
    const machine = await createMachine('bun')
    const killed = machine.start(['bun', 'bin/munjigi.mjs', '--version'])
    await seen(killed.stderr, INSTALLING)
    killed.kill('SIGKILL')
    await killed.exited

    const { stdout, exitCode } = await machine.run(['bun', 'bin/munjigi.mjs', '--version'])
    expect({ stdout, exitCode }).toEqual({ stdout: VERSION, exitCode: 0 })
  },
  COLD,
)

withBun(
  '`test` adds the development tools, and no later start takes them away',
  async () => {
    const machine = await createMachine('bun')
    await machine.run(['bun', 'bin/munjigi.mjs', '--version'])
    const asked = await machine.run(['bun', 'bin/munjigi.mjs', 'test', 'no-such-part'])
    expect(asked.stderr).toContain('There are: types, lint, src,')
    const later = await machine.run(['bun', 'bin/munjigi.mjs', '--version'])

    expect(later).toEqual({ stdout: VERSION, stderr: '', exitCode: 0 })
    expect(machine.has('node_modules/typescript')).toBe(true)

    // The packages have changed since: whoever had the tools gets them again.
    rmSync(join(machine.checkout, 'node_modules/.munjigi'))
    await machine.run(['bun', 'bin/munjigi.mjs', '--version'])
    expect(machine.has('node_modules/typescript')).toBe(true)
  },
  COLD,
)

test.skipIf(!(hasNode && hasGit))('without npm and without Bun, it says what to do', async () => {
  const machine = await createMachine('node')

  expect(await machine.run(['node', 'bin/munjigi.mjs', '--version'])).toEqual({
    stdout: '',
    stderr: `munjigi: Bun ${Bun.version} is needed, and there is no npm in PATH to fetch it. Install Node.js with npm, or Bun ${Bun.version}, and start again.\n`,
    exitCode: 1,
  })
})

test.skipIf(!hasGit)('Git for Windows leaves the line ends alone: sh knows no others', () => {
  const git = ['git', '-c', 'core.autocrlf=true', 'cat-file', '--filters']
  for (const file of ['envoy/certs.sh', 'src/schema.graphql', 'README.md']) {
    const { stdout } = Bun.spawnSync([...git, `HEAD:${file}`], { cwd: root })
    expect([file, stdout.includes('\n'), stdout.includes('\r')]).toEqual([file, true, false])
  }
})

type Environment = Readonly<Record<string, string | undefined>>

interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

/** A copy of the project, and a PATH, a home and caches that hold nothing but what is named. */
interface Machine {
  readonly checkout: string
  readonly env: Environment
  has(path: string): boolean
  start(command: readonly string[], env?: Environment): Started
  run(command: readonly string[], env?: Environment, cwd?: string): Promise<Outcome>
}

interface Started extends Pick<Bun.Subprocess, 'kill' | 'exited'> {
  readonly stdout: ReadableStream<Uint8Array>
  readonly stderr: ReadableStream<Uint8Array>
  endGroup(): void
}

let shared: Promise<{ machine: Machine; firstStart: Outcome }> | undefined

/** One machine for all tests that only look at what has been installed; the first to ask waits for it. */
function installed() {
  shared ??= createMachine('node', 'npm').then(async (machine) => ({
    machine,
    firstStart: await machine.run(['node', 'bin/munjigi.mjs', '--version']),
  }))
  return shared
}

async function createMachine(...programs: readonly string[]): Promise<Machine> {
  const place = mkdtempSync(join(folder, 'machine-'))
  const [checkout, path, home] = [join(place, 'checkout'), join(place, 'bin'), join(place, 'home')]
  await copyProject(checkout)
  // npm and Bun start scripts by sh, and npm itself is one that asks env for node.
  linkPrograms(path, ['sh', 'env', ...programs])
  const env = environment(path, home)
  return {
    checkout,
    env,
    has: (name) => existsSync(join(checkout, name)),
    start: (command, more) => start(command, checkout, { ...env, ...more }),
    async run(command, more, cwd = checkout) {
      const { stdout, stderr, exited } = start(command, cwd, { ...env, ...more })
      const [out, err] = await Promise.all([stdout, stderr].map((one) => new Response(one).text()))
      return { stdout: out ?? '', stderr: err ?? '', exitCode: await exited }
    },
  }
}

/** What git knows or would add: a file that it ignores would be missing for everybody else. */
async function copyProject(to: string): Promise<void> {
  const list = Bun.spawnSync(['git', 'ls-files', '-co', '--exclude-standard', '-z'], { cwd: root })
  const files = list.stdout.toString().split('\0').filter(Boolean)
  for (const file of files.filter((file) => existsSync(join(root, file)))) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    copyFileSync(join(root, file), join(to, file))
  }
}

function linkPrograms(path: string, programs: readonly string[]): void {
  mkdirSync(path)
  for (const program of programs)
    symlinkSync(
      program === 'bun' ? process.execPath : (Bun.which(program) ?? ''),
      join(path, program),
    )
}

/** Settings, folders, and what `npm test` says about itself (from which Bun would conclude that there is a Node). */
const OF_THIS_MACHINE = /^(MUNJIGI_|BUN_INSTALL|XDG_|npm_(?!config_)|NODE$|INIT_CWD$)/

/** Ours, for proxies and certificates, but for what would let it find this machine's programs, caches and settings. */
function environment(path: string, home: string): Environment {
  mkdirSync(home)
  // Where the packages come from is the user's choice.
  const settings = join(homedir(), '.npmrc')
  if (existsSync(settings)) copyFileSync(settings, join(home, '.npmrc'))
  const kept = Object.entries(process.env).filter(([name]) => !OF_THIS_MACHINE.test(name))
  return {
    ...Object.fromEntries(kept),
    PATH: path,
    HOME: home,
    npm_config_cache: join(home, '.npm'),
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
  }
}

function start(command: readonly string[], cwd: string, env: Environment): Started {
  const child = Bun.spawn([...command], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  return {
    stdout: child.stdout,
    stderr: child.stderr,
    exited: child.exited,
    kill: (signal) => child.kill(signal),
    endGroup: () => process.kill(-child.pid, 'SIGTERM'),
  }
}

/** Waits until the server answers, and gives what it printed until then. Throws with its complaints if it ends before. */
async function started(server: Started): Promise<string> {
  try {
    return await seen(server.stdout, '"event":"server.started"')
  } catch (error) {
    throw new Error(await new Response(server.stderr).text(), { cause: error })
  }
}

function canFetch(name: string): boolean {
  return Bun.spawnSync([process.execPath, 'info', name, 'version'], { cwd: root }).success
}
