// One burst of load on one server by wrk, closed loop: each connection sends its next request when the last is answered.
// What is counted is the server's CPU time, from before the burst until it is quiet again.

import { cpuTime, machineTime, noiseBetween, pinned } from './machine.ts'
import type { Server } from './stage.ts'
import { untilQuiet } from './stage.ts'

/** What a burst showed. Times in ms. */
export interface Burst {
  readonly perSecond: number
  /** CPU of the server for one answer. Undefined where it cannot be read. */
  readonly cpu: number | undefined
  readonly p50: number | undefined
  readonly p99: number | undefined
  /** Share of all cores, 0 to 1, that neither the server nor its load used: other programs, and stolen time. */
  readonly noise: number | undefined
}

/** What to send where. */
export interface Load {
  readonly server: Server
  readonly path: string
  /** Requests for load.lua. */
  readonly file: string
  readonly connections: number
  readonly cores: string | undefined
  /** How many right answers the server has counted itself. Without it, any answer with a good status is right. */
  readonly counted: (() => Promise<number>) | undefined
}

/** What a program that did the work itself or made others do it reports. */
interface Work {
  readonly answers: number
  readonly ms: number
  readonly p50?: number
  readonly p99?: number
  /** CPU of what made the load. */
  readonly loadCpu: number
}

/** Loads a server for some seconds. Throws if any answer was not the right one. `first`: where {n} begins. */
export async function burst(load: Load, seconds: number, first: number): Promise<Burst> {
  const { server, counted } = load
  const before = { machine: machineTime(), cpu: cpuTime(server.pid), count: await counted?.() }
  const work = await runWrk(load, seconds, first)
  await untilQuiet(server.pid)
  const after = { machine: machineTime(), cpu: cpuTime(server.pid) }
  // The server's own count has those answers too that came when wrk had gone: their CPU is in the sum.
  const right = counted ? (await counted()) - (before.count ?? 0) : work.answers
  if (right < work.answers)
    throw new Error(
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

/** Computes bare hashes for some seconds, on the cores of the servers: the ceiling of every login. */
export async function hashBurst(seconds: number, cores: string | undefined): Promise<Burst> {
  const before = machineTime()
  const child = Bun.spawn(
    pinned(cores, [process.execPath, `${import.meta.dir}/hash.ts`, String(seconds)]),
    { stdout: 'pipe', stderr: 'inherit', timeout: (seconds + 30) * 1_000 },
  )
  const result = lastJson(await new Response(child.stdout).text())
  await child.exited
  const { answers, ms, cpu } = result
  if (!answers || !ms || !cpu) throw new Error('the bare hash did not end')
  return {
    perSecond: (answers / ms) * 1_000,
    cpu: cpu / answers,
    p50: undefined,
    p99: undefined,
    noise: noiseBetween(before, machineTime(), cpuOf(child)),
  }
}

async function runWrk(load: Load, seconds: number, first: number): Promise<Work> {
  const { server, path, file, connections, cores } = load
  const child = Bun.spawn(
    pinned(cores, [
      'wrk',
      ...['--threads', '1', '--connections', String(connections)],
      ...['--duration', `${seconds}s`, '--timeout', '10s'],
      ...['--script', `${import.meta.dir}/load.lua`],
      ...[`${server.url}${path}`, '--', file, String(first)],
    ]),
    { stdout: 'pipe', stderr: 'inherit', timeout: (seconds + 20) * 1_000 },
  )
  const output = await new Response(child.stdout).text()
  await child.exited
  const { answers = 0, ms = 0, p50 = 0, p99 = 0, refused, failed } = lastJson(output)
  if (refused !== 0 || failed !== 0) throw new Error(`the load did not go through:\n${output}`)
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
