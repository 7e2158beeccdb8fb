// One burst of load on one server, closed loop: each connection sends its next request when the last is answered. By wrk,
// and by client.ts where the answers must be told apart or waited for.
// What is counted is the server's CPU time, from before the burst until it is quiet again.

import type { Outcome, Task } from './client.ts'
import { cpuTime, machineTime, noiseBetween, pinned } from './machine.ts'
import type { Server } from './stage.ts'
import { untilQuiet } from './stage.ts'
import { quantile } from './statistics.ts'

/** What a burst showed. Times in ms. */
export interface Burst {
  readonly perSecond: number | undefined
  /** CPU of the server for one answer. Undefined where it cannot be read. */
  readonly cpu: number | undefined
  readonly p50: number | undefined
  readonly p99: number | undefined
  /** Share of all cores, 0 to 1, that neither the server nor its load used: other programs, and stolen time. */
  readonly noise: number | undefined
}

/** A burst that was not to be had. */
export const NOTHING: Burst = {
  perSecond: undefined,
  cpu: undefined,
  p50: undefined,
  p99: undefined,
  noise: undefined,
}

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
interface Work {
  readonly answers: number
  readonly ms: number
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  /** CPU of what made the load. */
  readonly loadCpu: number
}

/** Loads a server for some seconds. Throws if any answer was not the right one. `first`: where {n} begins. */
export function burst(load: Load, seconds: number, first: number): Promise<Burst> {
  return observe(load, load.counted, () => runWrk(load, seconds, first))
}

/**
 * The same for requests of which each costs much: every one that was begun is waited for, as the CPU of a few that wrk
 * leaves behind would weigh too much.
 */
export function heavyBurst(load: Load, seconds: number, first: number): Promise<Burst> {
  const { file, connections } = load
  return observe(load, load.counted, () =>
    clientWork(load, { kind: 'closed', file, connections, seconds, first }),
  )
}

/** Refreshes the sessions of a file for some seconds; the answer of each gives the token for the next. */
export function refreshBurst(
  target: Target,
  task: Omit<Extract<Task, { kind: 'refresh' }>, 'kind'>,
): Promise<Burst> {
  return observe(target, undefined, () => clientWork(target, { kind: 'refresh', ...task }))
}

async function clientWork(target: Target, task: Task): Promise<Work> {
  const { outcome, cpu } = await runClient(target, task)
  const { good, refused, failed, ms } = outcome
  if (refused.length + failed.length > 0)
    throw new WrongAnswers(
      `${refused.length} refused, ${failed.length} without answer\n${target.server.complaints()}`,
    )
  const sorted = good.toSorted((a, b) => a - b)
  const latency = { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) }
  return { answers: good.length, ms, ...latency, loadCpu: cpu }
}

/** Runs a ceiling, a program that does nothing but one thing, for some seconds on the cores of the servers. */
export async function ceilingBurst(
  args: readonly string[],
  cores: string | undefined,
): Promise<Burst> {
  const before = machineTime()
  const [script, ...rest] = args
  const child = Bun.spawn(
    pinned(cores, [process.execPath, `${import.meta.dir}/${script}`, ...rest]),
    { stdout: 'pipe', stderr: 'inherit', timeout: 90_000 },
  )
  const result = lastJson(await new Response(child.stdout).text())
  await child.exited
  const { answers, ms, cpu, p50, p99 } = result
  if (!answers || !ms || !cpu) throw new Error(`${script} did not end`)
  return {
    perSecond: (answers / ms) * 1_000,
    cpu: cpu / answers,
    p50,
    p99,
    noise: noiseBetween(before, machineTime(), cpuOf(child)),
  }
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

async function observe(
  { server }: Target,
  counted: Load['counted'],
  run: () => Promise<Work>,
): Promise<Burst> {
  const before = { machine: machineTime(), cpu: cpuTime(server.pids), count: await counted?.() }
  const work = await run()
  await untilQuiet(server.pids)
  const after = { machine: machineTime(), cpu: cpuTime(server.pids) }
  // The server's own count has those answers too that came when wrk had gone: their CPU is in the sum.
  const right = counted ? (await counted()) - (before.count ?? 0) : work.answers
  if (right < work.answers)
    throw new WrongAnswers(
      `${work.answers - right} of ${work.answers} answers were not the right ones\n${server.complaints()}`,
    )
  server.emptyLog()

  const cpu =
    after.cpu === undefined || before.cpu === undefined ? undefined : after.cpu - before.cpu
  return {
    perSecond: (work.answers / work.ms) * 1_000,
    cpu: cpu === undefined || right === 0 ? undefined : cpu / right,
    p50: work.p50,
    p99: work.p99,
    noise: noiseBetween(before.machine, after.machine, (cpu ?? 0) + work.loadCpu),
  }
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

function lastJson(output: string): Record<string, number | undefined> {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  return line.startsWith('{') ? (JSON.parse(line) as Record<string, number>) : {}
}

function cpuOf(child: Bun.Subprocess): number {
  // Microseconds, and a bigint whatever the declaration says.
  return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000
}
