// The programs of a run, and the folder they write to. Whatever was started here is stopped when the stage is left,
// also on Ctrl-C; every server listens on 127.0.0.1 only.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuTime, HAS_PROC, pinned } from './machine.ts'

/** A server that has said that it answers. */
export interface Server {
  readonly pid: number
  readonly url: string
  /** Of the real server: where it counts. */
  readonly metricsUrl: string | undefined
  /** What it has logged that is not in order, the first few lines. */
  complaints(): string
  /** Drops what it has logged so far: a minute of requests is hundreds of megabytes. */
  emptyLog(): void
  stop(): Promise<void>
}

/** What to start: arguments of Bun, settings, and the cores it may use. */
export interface Program {
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cores: string | undefined
}

/** Where programs are started. */
export interface Stage {
  /** Starts a server and resolves when its log says `server.started`. Throws with what it wrote if it ends before. */
  start(program: Program): Promise<Server>
  /** A path in the folder of this run. */
  path(name: string): string
  /** Stops what runs and removes the folder. */
  [Symbol.asyncDispose](): Promise<void>
}

export const ROOT = join(import.meta.dir, '..')

/** The real program. */
export const SERVE = ['--no-env-file', 'src/main.ts', 'serve'] as const

/** One for all servers of a run: a database kept from an earlier start must open. */
const SECRET = Buffer.from(crypto.getRandomValues(new Uint8Array(48))).toString('base64')

const START_TIMEOUT_MS = 20_000
const POLL_MS = 2

/** Opens a stage. */
export function createStage(): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-bench-'))
  const running = new Set<() => Promise<void>>()
  let started = 0

  return {
    path: (name) => join(folder, name),

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
      const { url, metrics: metricsUrl } = await startedLine(child, log)
      if (!url.startsWith('http://127.0.0.1:')) throw new Error(`not on this machine: ${url}`)
      return {
        pid: child.pid,
        url,
        metricsUrl,
        complaints: () => complaintsIn(readFileSync(log, 'utf8')),
        emptyLog: () => truncateSync(log),
        stop,
      }
    },

    async [Symbol.asyncDispose]() {
      await Promise.all([...running].map((stop) => stop()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Settings of the real server: its own database and secret, free ports, tokens that outlast the run. */
export function settings(database: string): Record<string, string> {
  return {
    MUNJIGI_HOST: '127.0.0.1',
    MUNJIGI_PORT: '0',
    MUNJIGI_METRICS_PORT: '0',
    MUNJIGI_DATABASE_URL: `file:${database}`,
    MUNJIGI_SECRET: SECRET,
    MUNJIGI_ISSUER_URL: 'https://auth.example.com',
    MUNJIGI_ACCESS_TOKEN_TTL: '12h',
    MUNJIGI_DRAIN_SECONDS: '0',
    // All load comes from one address.
    MUNJIGI_THROTTLE_SIGNUP_ATTEMPTS: '0',
  }
}

/** Waits until a server has finished what clients have left behind: CPU it uses then belongs to what it did before. */
export async function untilQuiet(pid: number): Promise<void> {
  // Where nobody can tell: long enough for eight passwords.
  if (!HAS_PROC) await Bun.sleep(500)
  for (let tries = 0, before = cpuTime(pid); tries < 100; tries += 1) {
    await Bun.sleep(60)
    const now = cpuTime(pid)
    if (now === undefined || before === undefined || now - before <= 10) return
    before = now
  }
  throw new Error('a server is still busy six seconds after its load has ended')
}

function spawn({ args, env, cores }: Program, log: string): Bun.Subprocess {
  // To a file, as in production to a collector: a pipe to us would have us working on the cores we measure.
  const output = openSync(log, 'a', 0o600)
  try {
    return Bun.spawn(pinned(cores, [process.execPath, ...args]), {
      cwd: ROOT,
      // Nothing else of this environment: a setting of the person at the keyboard must not change the figures.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdin: 'ignore',
      stdout: output,
      stderr: output,
    })
  } finally {
    closeSync(output)
  }
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await child.exited
  clearTimeout(timer)
}

function complaintsIn(log: string): string {
  return log
    .split('\n')
    .filter((line) => line !== '' && !line.includes('"level":"info"'))
    .slice(0, 5)
    .join('\n')
}

async function startedLine(
  child: Bun.Subprocess,
  log: string,
): Promise<{ url: string; metrics?: string }> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (child.exitCode === null && performance.now() < deadline) {
    const line = readFileSync(log, 'utf8')
      .split('\n')
      .slice(0, -1)
      .find((text) => text.includes('"event":"server.started"'))
    if (line) return JSON.parse(line) as { url: string; metrics?: string }
    await Bun.sleep(POLL_MS)
  }
  throw new Error(`a server did not start:\n${readFileSync(log, 'utf8')}`)
}
