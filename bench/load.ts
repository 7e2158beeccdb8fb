// One burst of load on one server, closed loop: each connection sends its next request when the last is answered. By wrk,
// and by client.ts where the answers must be told apart or waited for.
// What is counted is the server's CPU time, from before the burst until it is quiet again.

import { readFileSync } from 'node:fs'
import { quantile } from '../e2e/quantile.ts'
import type { Task } from './client.ts'
import type { Load, Target, Work } from './drive.ts'
import { runCeiling, runClient, runWrk, WrongAnswers } from './drive.ts'
import { cpuTime, machineTime, noiseBetween } from './machine.ts'
import { parseRequests, send } from './requests.ts'
import { untilQuiet } from './stage.ts'
import { p99 } from './statistics.ts'

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

/** Loads a server for some seconds. Throws if any answer was not the right one. `first`: where {n} begins. */
export function burst(load: Load, seconds: number, first: number): Promise<Burst> {
  return observe(load, load.counted, async () => {
    const work = await runWrk(load, seconds, first)
    if (!load.counted) await checkOne(load)
    return work
  })
}

/** GraphQL refuses with a status of 200 too, and wrk reads no bodies: one answer speaks for all that nobody counted. */
async function checkOne({ server, file }: Load): Promise<void> {
  const [request] = parseRequests(readFileSync(file, 'utf8'))
  if (!request) throw new Error(`no request in ${file}`)
  const text = await (await send(server.url, request)).text()
  if (text.includes('"errors":[')) throw new WrongAnswers(`the answers are refusals: ${text}`)
}

/**
 * The same, after a second that does not count: a server that has had nothing to do while the others were loaded has dropped
 * compiled code and given back memory, and the first 10,000 requests pay for both again.
 */
export async function warmBurst(load: Load, seconds: number, first: number): Promise<Burst> {
  await runWrk(load, WARM_SECONDS, first)
  return await burst(load, seconds, first)
}

/** The same for a burst that knows by itself what to send. */
export function warmed(run: (seconds: number) => Promise<Burst>): typeof run {
  return async (seconds) => {
    await run(WARM_SECONDS)
    return await run(seconds)
  }
}

const WARM_SECONDS = 1

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

/** What a ceiling does by itself, for as long as its arguments say. */
export async function ceilingBurst(
  args: readonly string[],
  cores: string | undefined,
): Promise<Burst> {
  const before = machineTime()
  const { answers, ms, cpu, p50, p99, loadCpu } = await runCeiling(args, cores)
  return {
    perSecond: (answers / ms) * 1_000,
    cpu: cpu / answers,
    p50,
    p99,
    noise: noiseBetween(before, machineTime(), loadCpu),
  }
}

async function clientWork(target: Target, task: Task): Promise<Work> {
  const { outcome, cpu } = await runClient(target, task)
  const { good, refused, failed, ms } = outcome
  if (refused.length + failed.length > 0)
    throw new WrongAnswers(
      `${refused.length} refused, ${failed.length} without answer\n${target.server.complaints()}`,
    )
  const sorted = good.toSorted((a, b) => a - b)
  const latency = { p50: quantile(sorted, 0.5), p99: p99(sorted) }
  return { answers: good.length, ms, ...latency, loadCpu: cpu }
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
