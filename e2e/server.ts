// The program as an operator starts it: a process of its own, free ports, a database file in a folder of its own.
// Shared by everything in e2e/. Nothing of the developer's own environment reaches it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readLines } from './output.ts'

/** What to start. */
export interface ServerOptions {
  readonly mode: 'dev' | 'serve'
  /** Settings beside those a test server always has, or in their place; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A URL as in `MUNJIGI_DATABASE_URL`. Without it: a new file, which goes with the server. */
  readonly database?: string
  /** A copy of this repository to start instead of it. */
  readonly root?: string
}

/** A server that answers requests. Disposing of it stops it. */
export interface Server extends AsyncDisposable {
  /** The URL of the public port, without a slash at the end. */
  readonly url: string
  /** The whole URL of `/metrics`. */
  readonly metricsUrl: string
  /** Every line of standard output so far; it goes on growing. */
  readonly lines: readonly string[]
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  /** The first line with this event (and for which `where` holds), at once or when it comes. Throws if the process ends without. */
  logged(event: string, where?: (line: LogLine) => boolean): Promise<LogLine>
  /** Sends SIGTERM, waits for the last line of output, and gives the exit code. Harmless when it has ended already. */
  stop(): Promise<number>
}

/** One line of the log, parsed. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string }

/** For tests that need many users or logins from one address: the throttles have tests of their own. */
export const UNTHROTTLED = {
  MUNJIGI_THROTTLE_USER_ATTEMPTS: '0',
  MUNJIGI_THROTTLE_ADDRESS_ATTEMPTS: '0',
  MUNJIGI_THROTTLE_SIGNUP_ATTEMPTS: '0',
}

/** A secret for tests only, long enough for `serve`. */
export const TEST_SECRET = 'a secret of more than thirty-two bytes, for tests'

/** The `iss` of what a `serve` signs; nothing answers there. */
export const TEST_ISSUER = 'https://auth.example.com'

/** Starts the program and resolves when it answers. Throws with all its output if it ends before. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-e2e-'))
  const child = spawn(options, folder)
  const output = readOutput(child)
  let stopped: Promise<number> | undefined
  const server = {
    lines: output.lines,
    process: child,
    logged: output.logged,
    // Sent once: a second signal would cut short what the first one began.
    stop: () => (stopped ??= end()),
    async [Symbol.asyncDispose]() {
      await server.stop()
    },
  }
  try {
    const { url, metrics } = await server.logged('server.started')
    return { ...server, url: String(url), metricsUrl: String(metrics) }
  } catch (error) {
    await server.stop()
    throw error
  }

  async function end(): Promise<number> {
    child.kill('SIGTERM')
    const exitCode = await child.exited
    await output.reading
    rmSync(folder, { recursive: true, force: true })
    return exitCode
  }
}

function spawn({ mode, env, database, root }: ServerOptions, folder: string): Server['process'] {
  const url = database ?? `file:${join(folder, 'munjigi.db')}`
  // `dev` makes its own secret, beside the file; without a file it would write into the working directory.
  const needsSecret = mode === 'serve' || !url.startsWith('file:')
  return Bun.spawn([process.execPath, '--no-orphans', '--no-env-file', 'src/main.ts', mode], {
    cwd: root ?? join(import.meta.dir, '..'),
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      MUNJIGI_PORT: '0',
      MUNJIGI_METRICS_PORT: '0',
      MUNJIGI_DATABASE_URL: url,
      MUNJIGI_LOG_FORMAT: 'json',
      MUNJIGI_DRAIN_SECONDS: '0',
      ...(needsSecret ? { MUNJIGI_SECRET: TEST_SECRET } : {}),
      ...(mode === 'serve' ? { MUNJIGI_ISSUER_URL: TEST_ISSUER } : {}),
      ...env,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/** Reads both outputs to their end, so that the program never waits for a reader. */
function readOutput(child: Server['process']) {
  const lines: string[] = []
  const waiting: Array<() => void> = []
  let ended = false
  const complaints = new Response(child.stderr).text()
  const reading = readLines(child.stdout, (line) => {
    lines.push(line)
    wake()
  }).finally(() => {
    ended = true
    wake()
  })
  return { lines, logged, reading }

  async function logged(
    event: string,
    where: (line: LogLine) => boolean = () => true,
  ): Promise<LogLine> {
    for (let next = 0; ; ) {
      for (; next < lines.length; next += 1) {
        const entry = parse(lines[next] ?? '')
        if (entry?.event === event && where(entry)) return entry
      }
      if (ended) throw new Error(await lastWords(event))
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }

  function wake(): void {
    for (const resolve of waiting.splice(0)) resolve()
  }

  async function lastWords(event: string): Promise<string> {
    await reading
    const code = await child.exited
    return [`the program ended (${code}) without ${event}:`, ...lines, await complaints].join('\n')
  }
}

/** The welcome of `dev` is for people; only the log is JSON. */
function parse(line: string): LogLine | null {
  return line.startsWith('{') ? (JSON.parse(line) as LogLine) : null
}

/** The sum of all series of this name. Throws if there is none. */
export async function metric({ metricsUrl }: Server, name: string): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  const values = [...text.matchAll(new RegExp(`^${name}(?:{.*})? (\\S+)$`, 'gm'))]
  if (values.length === 0) throw new Error(`no series is named ${name}`)
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}
