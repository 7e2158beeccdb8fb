// One part of the test suite, run as a process group of its own: whatever a test leaves running ends with its part, and
// so does what it leaves among the temporary files.

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Counts } from './junit.ts'
import { readReport } from './junit.ts'
import { MISSING } from './requirement.ts'

/** A command, run in the project's folder. */
export interface Part {
  readonly name: string
  readonly command: readonly string[]
  /** Whether the command is `bun test`, whose tests are counted; else it counts as one test. */
  readonly holdsTests: boolean
}

/** How a part ended. */
export interface Result extends Counts {
  readonly name: string
  readonly seconds: number
  /** Everything it printed, and what was wrong with it as a whole. */
  readonly output: string
  /** What its skipped tests would have needed. */
  readonly missing: readonly string[]
}

/** A part that takes longer than this hangs. */
const LIMIT_MINUTES = 15

/** How long a process has to end by itself before it is killed. */
const GRACE_MS = 3_000

/** Runs a part to its end; with `show`, what it prints is seen at once. Aborting `signal` ends it early. */
export async function runPart(part: Part, show: boolean, signal: AbortSignal): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-suite-'))
  const report = join(folder, 'report.xml')
  const limit = AbortSignal.timeout(LIMIT_MINUTES * 60_000)
  const started = performance.now()
  try {
    const { exitCode, output } = await run(
      part.holdsTests
        ? [...part.command, '--reporter=junit', `--reporter-outfile=${report}`]
        : part.command,
      { folder, show, signal: AbortSignal.any([signal, limit]) },
    )
    const counts = part.holdsTests ? countTests(report, exitCode) : countAsOne(exitCode)
    const faults = limit.aborted ? [`stopped after ${LIMIT_MINUTES} minutes`] : counts.faults
    return {
      ...counts,
      name: part.name,
      seconds: (performance.now() - started) / 1_000,
      output: [output.trimEnd(), ...faults].join('\n'),
      missing: missingIn(output),
    }
  } finally {
    // But not what a killed test has left mounted there.
    await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

interface Judged extends Counts {
  readonly faults: readonly string[]
}

function countAsOne(exitCode: number): Judged {
  const failed = exitCode === 0 ? 0 : 1
  return { passed: 1 - failed, failed, skipped: [], faults: [] }
}

/** A part that broke down, or in which nothing ran, has failed even if no test says so. */
function countTests(report: string, exitCode: number): Judged {
  const counts = existsSync(report)
    ? readReport(readFileSync(report, 'utf8'))
    : { passed: 0, failed: 0, skipped: [] }
  if (counts.failed > 0) return { ...counts, faults: [] }
  if (exitCode !== 0) return { ...counts, failed: 1, faults: [`ended with ${exitCode}`] }
  if (counts.passed + counts.skipped.length > 0) return { ...counts, faults: [] }
  return { ...counts, failed: 1, faults: ['no test ran'] }
}

function missingIn(output: string): readonly string[] {
  const lines = output.split('\n').filter((line) => line.startsWith(MISSING))
  return [...new Set(lines.map((line) => line.slice(MISSING.length)))]
}

interface Ended {
  readonly exitCode: number
  readonly output: string
}

/** `folder`: for its temporary files. */
function run(
  command: readonly string[],
  { folder, show, signal }: { folder: string; show: boolean; signal: AbortSignal },
): Promise<Ended> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd: join(import.meta.dir, '..'),
    env: { ...process.env, TMPDIR: folder },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const hear = (chunk: Buffer) => {
    output += chunk
    if (show) process.stdout.write(chunk)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  signal.addEventListener('abort', () => {
    endGroup(child, 'SIGTERM')
    setTimeout(() => endGroup(child, 'SIGKILL'), GRACE_MS).unref()
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    // What is left of the group may hold the pipes open, so it must end before they can close.
    child.on('exit', () => endGroup(child, 'SIGKILL'))
    child.on('close', (code) => resolve({ exitCode: code ?? 1, output }))
  })
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is empty.
  }
}
