// `npm run up`, `status` and `rollout` as a person starts them: processes of their own, without a terminal.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConsole } from '../envoy/console.ts'
import { hasPrometheus } from './monitoring.ts'
import { seen } from './output.ts'
import { freeEdgePorts, isFree } from './ports.ts'
import { controlSocket } from './stack.ts'
import { columns, lasting } from './status.ts'
import { canRunStack } from './tools.ts'
import { until } from './until.ts'

setDefaultTimeout(120_000)

const ROOT = join(import.meta.dir, '..')
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:1'

/** A command at work, or done. */
interface Command {
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  output(): string
  /** Resolves to its exit code, when all its output is read. */
  readonly ended: Promise<number>
}

function run(script: string, args: readonly string[], env: Record<string, string>): Command {
  const child = Bun.spawn([process.execPath, '--no-orphans', join('e2e', script), ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: tmpdir(), ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  let text = ''
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    const decoder = new TextDecoder()
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true })
  })
  const ended = Promise.all(reading).then(() => child.exited)
  return { process: child, output: () => text, ended }
}

async function ports(): Promise<Record<string, string>> {
  return { ...(await freeEdgePorts()), MUNJIGI_DRAIN_SECONDS: '1' }
}

/** Whether a process with this id exists. */
function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Resolves to the processes that it shows when everything runs, by the names of the parts. */
async function shown(up: Command): Promise<Map<string, number>> {
  await until('it is up', () => /^ +database +running/m.test(up.output()) || failed(up))
  const rows = up.output().matchAll(/^ +(edge|database|replica-\d) +\w+ +127\.0\.0\.1:\d+ +(\d+)/gm)
  return new Map([...rows].map(([, name = '', pid]) => [name, Number(pid)]))
}

/** A rollout that has its first replica drain. */
async function draining(env: Record<string, string>): Promise<Command> {
  const rollout = run('rollout.ts', [], env)
  await until('a replica drains', () => rollout.output().includes('drains'))
  return rollout
}

/** The processes that are named in a text, as in `(process 123)`. */
function named(text: string): number[] {
  return [...text.matchAll(/\(process (\d+)\)/g)].map(([, pid]) => Number(pid))
}

describe.skipIf(!(await canRunStack()))('npm run up', () => {
  test('shows what runs, starts again what dies, lets replicas be replaced, and leaves nothing behind', async () => {
    // Behind a proxy, which knows nothing of this machine.
    const env = Object.assign(await ports(), { HTTP_PROXY: NOWHERE, HTTPS_PROXY: NOWHERE })
    const up = run('up.ts', [], env)
    try {
      const url = `https://localhost:${env['EDGE_HTTPS_PORT']}`
      const parts = await shown(up)
      expect(parts.size).toBe(5)
      expect(up.output()).toContain(`${url}/graphql`)
      const ca = /CA\s+(\S+)/.exec(up.output())?.[1] ?? ''
      expect(statSync(ca).isFile()).toBe(true)
      const health = await fetch(`${url}/.well-known/jwks.json`, { tls: { ca: Bun.file(ca) } })
      expect(health.status).toBe(200)

      const status = run('status.ts', [], env)
      expect(await status.ended).toBe(0)
      expect(status.output()).toMatch(/^replica +state +address +requests +errors +active +since\n/)
      expect(status.output().match(/^replica-\d +up +127\.0\.0\.1:\d+/gm)).toHaveLength(3)
      expect(status.output()).not.toContain('–')

      const victim = parts.get('replica-2')
      // Never a 0 in its place: that would be this process and all its relatives.
      if (!victim) throw new Error(`no replica-2:\n${up.output()}`)
      process.kill(victim, 'SIGKILL')
      await until('it says so', () => /replica-2 +ended by itself \(SIGKILL\)/.test(up.output()))
      await until('it runs again', () => /replica-2 +runs again \(process \d+\)/.test(up.output()))
      const { replicas } = await until('all get requests', async () => {
        const url = `http://127.0.0.1:${env['EDGE_CONSOLE_PORT']}`
        const view = await readConsole(url)
        return view?.replicas.every(({ state }) => state === 'up') && view
      })
      expect(replicas).toHaveLength(3)

      // One that is interrupted goes on, and stands in the way of no other afterwards.
      const interrupted = await draining(env)
      interrupted.process.kill('SIGKILL')
      const hasItsTurn = async () => {
        const next = run('rollout.ts', [], env)
        return (await next.ended) === 0 && next
      }
      const rollout = await until('the next one has its turn', hasItsTurn, 60_000)
      expect(rollout.output().match(/is new \(process \d+\)/g)).toHaveLength(3)

      const all = [...parts.values(), ...named(up.output()), ...named(rollout.output())]
      expect(all.filter(exists)).toHaveLength(5)
      // In the middle of a third.
      const last = await draining(env)
      up.process.kill('SIGINT')
      expect(await last.ended).toBe(1)
      expect(await up.ended).toBe(0)
      expect(up.output()).toContain('nothing is left')
      expect(all.filter(exists)).toEqual([])
      expect(existsSync(join(ca, '..', '..'))).toBe(false)
      expect(existsSync(controlSocket(Number(env['EDGE_HTTPS_PORT'])))).toBe(false)
      const used = Object.entries(env).filter(([name]) => name.startsWith('EDGE_'))
      for (const [, port] of used) expect(await isFree(Number(port))).toBe(true)
    } finally {
      up.process.kill('SIGINT')
      await up.ended
    }
  })

  test('tells a rollout of each step, however long a replica drains', async () => {
    // Bun would close a connection on which nothing was said for ten seconds.
    const env = { ...(await ports()), MUNJIGI_DRAIN_SECONDS: '13' }
    const up = run('up.ts', ['--replicas', '1'], env)
    await shown(up)
    const rollout = run('rollout.ts', [], env)
    expect([await rollout.ended, rollout.output()]).toEqual([0, expect.stringMatching(/done\n$/)])
    up.process.kill('SIGINT')
    expect(await up.ended).toBe(0)
  })

  test('keeps the data where it is told to, and the CA with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'munjigi-up-'))
    try {
      const authorities: string[] = []
      for (let round = 0; round < 2; round += 1) {
        const up = run('up.ts', ['--data', folder, '--replicas', '1'], await ports())
        await shown(up)
        authorities.push(await Bun.file(join(folder, 'ca', 'ca.crt')).text())
        up.process.kill('SIGTERM')
        expect(await up.ended).toBe(0)
      }
      expect(authorities[1]).toBe(authorities[0] ?? '')
      expect(statSync(join(folder, 'secrets', 'munjigi', 'secret')).mode & 0o777).toBe(0o600)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  // Elsewhere sqld outlives it: nothing tells a process there that its parent died.
  test.skipIf(!Bun.which('setpriv'))('ends with all its parts when it is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'munjigi-up-'))
    const env: Record<string, string> = { ...(await ports()), TMPDIR: folder }
    const up = run('up.ts', ['--replicas', '1'], env)
    const all = [...(await shown(up)).values()]
    expect(all.filter(exists)).toHaveLength(3)
    up.process.kill('SIGKILL')
    await up.process.exited
    await until('all parts are gone', () => !all.some(exists))
    // Its socket is left, where nobody answers: a rollout looks elsewhere.
    const rollout = run('rollout.ts', [], { ...env, COMPOSE: 'false' })
    expect([await rollout.ended, rollout.output()]).toEqual([
      69,
      expect.stringContaining('neither'),
    ])
    // What a killed process cannot do, the test does.
    rmSync(folder, { recursive: true })
    rmSync(controlSocket(Number(env['EDGE_HTTPS_PORT'])))
  })

  test('says which port is taken, and by which setting to choose another', async () => {
    const env = await ports()
    const server = createServer().listen(Number(env['EDGE_HTTP_PORT']), '127.0.0.1')
    const up = run('up.ts', [], env)
    expect(await up.ended).toBe(69)
    expect(up.output()).toContain('EDGE_HTTP_PORT=')
    expect(up.output()).not.toContain('    at ')
    server.close()
  })

  test('does without Prometheus where its port is taken, and says which one that is', async () => {
    const server = createServer()
    await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as AddressInfo
    const up = run('up.ts', ['--replicas', '1'], { ...(await ports()), PROMETHEUS_PORT: `${port}` })
    await shown(up)
    const why = hasPrometheus() ? `${port} is in use` : 'no prometheus is installed'
    expect(up.output()).toContain(`none  ${why}`)
    up.process.kill('SIGTERM')
    expect(await up.ended).toBe(0)
    server.close()
  })

  test.each([
    [['--nonsense'], {}, 64],
    [['--replicas', '0'], {}, 64],
    [['--help'], {}, 0],
    [[], { EDGE_HEALTH_CHECK: 'never' }, 78],
    [[], { EDGE_HTTPS_PORT: 'none' }, 78],
  ])('says what is wrong: %p %p', async (args, env, code) => {
    const up = run('up.ts', args, { ...(await ports()), ...env })
    expect(await up.ended).toBe(code)
    expect(up.output().trim().length).toBeGreaterThan(10)
    expect(up.output()).not.toContain('    at ')
  })
})

test('status and rollout say so when nothing runs', async () => {
  // What somebody runs in Compose here must not be replaced.
  const env = { ...(await ports()), COMPOSE: 'false' }
  const [status, rollout] = [run('status.ts', [], env), run('rollout.ts', [], env)]
  expect([await status.ended, await rollout.ended]).toEqual([1, 69])
  expect(status.output()).toContain('npm run up')
  expect(rollout.output()).toContain('npm run up')
})

test('status that is watched ends quietly when its reader has gone', async () => {
  const command = `"${process.execPath}" e2e/status.ts --watch | head -n 1`
  const env = { ...process.env, ...(await ports()), COMPOSE: 'false' }
  const piped = Bun.spawn(['sh', '-c', command], { cwd: ROOT, env, stderr: 'pipe' })
  expect([await piped.exited, await new Response(piped.stderr).text()]).toEqual([0, ''])
})

test('a port that one process was given is given to no other while that lives', async () => {
  // Both begin to look at the same place.
  const program = `
    Math.random = () => 0.5
    const { freePort, freePorts } = await import('./e2e/ports.ts')
    console.log([freePort(), ...(await freePorts(2))].join())
    for await (const _ of console);`
  const start = () =>
    Bun.spawn([process.execPath, '-e', program], { cwd: ROOT, stdin: 'pipe', stdout: 'pipe' })
  const both = [start(), start()]
  const given = await Promise.all(both.map(({ stdout }) => seen(stdout, '\n')))
  expect(new Set(given.flatMap((ports) => ports.trim().split(','))).size).toBe(6)
  for (const { stdin } of both) stdin.end()
  expect(await Promise.all(both.map(({ exited }) => exited))).toEqual([0, 0])
})

test('numbers are aligned at their end, words at their beginning', () => {
  const rows = [
    ['name', 'count'],
    ['a', '7'],
    ['longer', '1,000'],
  ]
  expect(columns(rows, new Set([1]))).toEqual([
    'name     count',
    'a            7',
    'longer   1,000',
  ])
})

test.each([
  [0, '0s'],
  [59, '59s'],
  [60, '1m'],
  [3_661, '1h 1m'],
  [90_000, '1d 1h'],
])('%d seconds are told as %s', (seconds, text) => {
  expect(lasting(seconds)).toBe(text)
})

function failed(command: Command): false {
  if (command.process.exitCode !== null) throw new Error(`it ended:\n${command.output()}`)
  return false
}
