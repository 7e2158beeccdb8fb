// The programs of a run, and the folder they write to. Whatever was started here is stopped when the stage is left,
// also on Ctrl-C; every server listens on 127.0.0.1 only.

import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HAS_PROC } from '../e2e/memory.ts'
import { withOutputTo } from '../e2e/output.ts'
import { cpuTime, pinned } from './machine.ts'

/** A server that has said that it answers. */
export interface Server {
  /** All its processes: their CPU time is what an answer costs. */
  readonly pids: readonly number[]
  readonly url: string
  /** Of the real server: where it counts. */
  readonly metricsUrl: string | undefined
  /** What it has logged that is not in order, the first few lines. */
  complaints(): string
  /** Drops what it has logged so far: a minute of requests is hundreds of megabytes. */
  emptyLog(): void
  stop(): Promise<void>
}

/** What to start, and the cores it may use. */
export interface Program {
  /** Of Bun, or of `command`. */
  readonly args: readonly string[]
  /** A program that is not Bun. */
  readonly command?: string
  /** Where its log says that it answers; without it, in a `server.started` of ours. */
  readonly started?: (log: string) => Started | undefined
  readonly env?: Readonly<Record<string, string>>
  readonly cores: string | undefined
}

/** Where a server listens. */
export interface Started {
  readonly url: string
  readonly metrics?: string
  /** Of the processes it works with, beside its own. */
  readonly workers?: readonly number[]
}

/** Where programs are started. */
export interface Stage {
  /** Starts a server and resolves when its log says that it answers. Throws with what it wrote if it ends before. */
  start(program: Program): Promise<Server>
  /** A path in the folder of this run. */
  path(name: string): string
  /** Has something else stopped with what runs. */
  use(stop: () => Promise<void>): void
  /** Stops what runs and removes the folder. */
  [Symbol.asyncDispose](): Promise<void>
}

export const ROOT = join(import.meta.dir, '..')

/** The real program. */
export const SERVE = ['--no-env-file', 'src/main.ts', 'serve'] as const

/** One for all servers of a run: a database kept from an earlier start must open. */
export const SECRET = Buffer.from(crypto.getRandomValues(new Uint8Array(48))).toString('base64')

const START_TIMEOUT_MS = 20_000
const POLL_MS = 2

/** Opens a stage. */
export function createStage(): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-bench-'))
  const running = new Set<() => Promise<void>>()
  let started = 0
  // Servers left behind would go on running.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void clear().finally(() => process.exit(130)))

  return {
    path: (name) => join(folder, name),

    use: (stop) => void running.add(stop),

    async start(program) {
      started += 1
      const log = join(folder, `${started}.log`)
      const child = spawn(program, log)
      const stop = async () => {
        await end(child)
        running.delete(stop)
      }
      // Before it answers: a run that is interrupted now must not leave it behind.
      running.add(stop)
      const {
        url,
        metrics: metricsUrl,
        workers = [],
      } = await whenStarted(child, log, program.started)
      if (!/^(http:\/\/127\.0\.0\.1|https:\/\/localhost):\d+$/.test(url))
        throw new Error(`not on this machine: ${url}`)
      return {
        pids: [child.pid, ...workers],
        url,
        metricsUrl,
        complaints: () => complaintsIn(readFileSync(log, 'utf8')),
        emptyLog: () => truncateSync(log),
        stop,
      }
    },

    [Symbol.asyncDispose]: clear,
  }

  async function clear(): Promise<void> {
    await Promise.all([...running].map((stop) => stop()))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Settings of the real server: its own database and secret, free ports, tokens that outlast the run. */
export function settings(database: string): Record<string, string> {
  return {
    ...patience(),
    MUNJIGI_HOST: '127.0.0.1',
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
    MUNJIGI_DATABASE_URL: `file:${database}`,
    MUNJIGI_SECRET: SECRET,
    MUNJIGI_ISSUER_URL: 'https://auth.example.com',
    MUNJIGI_ACCESS_TOKEN_TTL: '12h',
    MUNJIGI_DRAIN_SECONDS: '0',
  }
}

/** All load comes from one address: the throttles stay at work, with room for it. */
export function patience() {
  return {
    MUNJIGI_THROTTLE_ADDRESS_ATTEMPTS: '1000000',
    MUNJIGI_THROTTLE_SIGNUP_ATTEMPTS: '1000000',
  }
}

/** Waits until a server has finished what clients have left behind: CPU it uses then belongs to what it did before. */
export async function untilQuiet(pids: readonly number[]): Promise<void> {
  // Where nobody can tell: long enough for eight passwords.
  if (!HAS_PROC) await Bun.sleep(500)
  for (let tries = 0, before = cpuTime(pids); tries < 100; tries += 1) {
    await Bun.sleep(60)
    const now = cpuTime(pids)
    if (now === undefined || before === undefined || now - before <= 10 * pids.length) return
    before = now
  }
  throw new Error('a server is still busy six seconds after its load has ended')
}

function spawn(
  { args, command = process.execPath, env, cores }: Program,
  log: string,
): Bun.Subprocess {
  // To a file, as in production to a collector: a pipe to us would have us working on the cores we measure.
  return withOutputTo(log, (output) =>
    Bun.spawn(pinned(cores, [command, ...args]), {
      cwd: ROOT,
      // Nothing else of this environment: a setting of the person at the keyboard must not change the figures.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdin: 'ignore',
      stdout: output,
      stderr: output,
    }),
  )
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await child.exited
  clearTimeout(timer)
}

/** What is not in order in a log. */
export function complaintsIn(log: string): string {
  return log
    .split('\n')
    .filter((line) => line !== '' && !/"level":"info"|"type":"access"/.test(line))
    .slice(0, 5)
    .join('\n')
}

async function whenStarted(
  child: Bun.Subprocess,
  log: string,
  started: (log: string) => Started | undefined = ourStarted,
): Promise<Started> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (child.exitCode === null && performance.now() < deadline) {
    const found = started(readFileSync(log, 'utf8'))
    if (found) return found
    await Bun.sleep(POLL_MS)
  }
  throw new Error(`a server did not start:\n${readFileSync(log, 'utf8')}`)
}

function ourStarted(log: string): Started | undefined {
  const line = log
    .split('\n')
    .slice(0, -1)
    .find((text) => text.includes('"event":"server.started"'))
  return line === undefined ? undefined : (JSON.parse(line) as Started)
}
