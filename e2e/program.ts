// The program with no settings but those that a test names. For what it says when it does not start, and for tests that read
// standard error too; server.ts is for servers that run.

import { join } from 'node:path'
import { TEST_SECRET } from './server.ts'

/** A run of the program. */
export interface Program {
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  /** What it has written so far; both go on growing. */
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** When it has ended and all it wrote has been read. */
  readonly ended: Promise<Ended>
}

/** How a run ended. */
export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command on this database to its end, with the secret of the tests. */
export function operate(database: string, ...args: string[]): Promise<Ended> {
  const env = { MUNJIGI_DATABASE_URL: database, MUNJIGI_SECRET: TEST_SECRET }
  return startProgram(args, env).ended
}

/** Starts `munjigi` with these arguments and this environment. */
export function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Program {
  const child = Bun.spawn([process.execPath, '--no-env-file', 'src/main.ts', ...args], {
    cwd: join(import.meta.dir, '..'),
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const output = { stdout: '', stderr: '' }
  const reading = [
    read(child.stdout, (text) => {
      output.stdout += text
    }),
    read(child.stderr, (text) => {
      output.stderr += text
    }),
  ]
  const end = async () => {
    await Promise.all(reading)
    return { exitCode: await child.exited, ...output }
  }
  return { process: child, output, ended: end() }
}

async function read(
  stream: ReadableStream<Uint8Array>,
  hear: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  for await (const chunk of stream) hear(decoder.decode(chunk, { stream: true }))
}
