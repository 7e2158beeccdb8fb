// The programs that make load: wrk, client.ts where answers must be told apart or waited for, and the ceilings, which load
// themselves. Each is held on its cores, bounded in time, and asked how much CPU it used.

import type { Outcome, Task } from './client.ts'
import { pinned } from './machine.ts'
import type { Server } from './stage.ts'

/** Requests were refused, not answered, or answered with something else than what they asked for. */
export class WrongAnswers extends Error {
  override readonly name = 'WrongAnswers'
}

/** Who is loaded, from where. */
export interface Target {
  readonly server: Pick<Server, 'pids' | 'url' | 'complaints' | 'emptyLog'>
  /** Of the load. */
  readonly cores: string | undefined
}

/** What to send where. */
export interface Load extends Target {
  /** Requests, as `writeRequests` writes them. */
  readonly file: string
  readonly connections: number
  /** How many right answers the server has counted itself. Without it, any answer with a good status is right. */
  readonly counted: (() => Promise<number>) | undefined
  /** Whether refusals are part of the load. */
  readonly anyStatus?: true
}

/** What a program that did the work itself or made others do it reports. */
export interface Work {
  readonly answers: number
  readonly ms: number
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  /** CPU of what made the load. */
  readonly loadCpu: number
}

/** Runs wrk for some seconds. Throws when requests were not answered, or refused where that is no part of the load. */
export async function runWrk(load: Load, seconds: number, first: number): Promise<Work> {
  const { server, file, connections, cores } = load
  const child = Bun.spawn(
    pinned(cores, [
      'wrk',
      ...['--threads', '1', '--connections', String(connections)],
      ...['--duration', `${seconds}s`, '--timeout', '10s'],
      ...['--script', `${import.meta.dir}/load.lua`],
      ...[server.url, '--', file, String(first)],
    ]),
    { stdout: 'pipe', stderr: 'inherit', timeout: (seconds + 20) * 1_000 },
  )
  const output = await new Response(child.stdout).text()
  await child.exited
  const { answers = 0, ms = 0, p50 = 0, p99 = 0, refused, failed } = lastJson(output)
  if (failed !== 0 || (refused !== 0 && !load.anyStatus))
    throw new WrongAnswers(`the load did not go through: ${output}${server.complaints()}`)
  // No answer at all is a result too, on a machine that others keep busy: latencies are then unknown, not zero.
  const latency = answers > 0 ? { p50, p99 } : {}
  return { answers, ms, ...latency, loadCpu: cpuOf(child) }
}

/** Runs client.ts, and says how much CPU it used. */
export async function runClient(
  { server, cores }: Target,
  task: Task,
): Promise<{ outcome: Outcome; cpu: number }> {
  const child = Bun.spawn(
    pinned(cores, [
      ...[process.execPath, `${import.meta.dir}/client.ts`],
      ...[server.url, JSON.stringify(task)],
    ]),
    { stdout: 'pipe', stderr: 'inherit', timeout: (task.seconds + 60) * 1_000 },
  )
  const output = await new Response(child.stdout).text()
  if ((await child.exited) !== 0) throw new Error(`the load did not end\n${server.complaints()}`)
  return { outcome: JSON.parse(output) as Outcome, cpu: cpuOf(child) }
}

/** Runs a program that does nothing but one thing, on the cores of the servers. Returns what it reported. */
export async function runCeiling(
  [script, ...rest]: readonly string[],
  cores: string | undefined,
): Promise<Work & { readonly cpu: number }> {
  const child = Bun.spawn(
    pinned(cores, [process.execPath, `${import.meta.dir}/${script}`, ...rest]),
    { stdout: 'pipe', stderr: 'inherit', timeout: 90_000 },
  )
  const { answers, ms, cpu, p50, p99 } = lastJson(await new Response(child.stdout).text())
  await child.exited
  if (!answers || !ms || !cpu) throw new Error(`${script} did not end`)
  return { answers, ms, cpu, p50, p99, loadCpu: cpuOf(child) }
}

function lastJson(output: string): Record<string, number | undefined> {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  return line.startsWith('{') ? (JSON.parse(line) as Record<string, number>) : {}
}

function cpuOf(child: Bun.Subprocess): number {
  // Microseconds, and a bigint whatever the declaration says.
  return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000
}
