// The flood: 200 logins in flight for 20 s, and beside them a light authenticated read 20 times a second, timed from when
// each was due. Memory is the most that the server had meanwhile.

import { residentMemory } from '../e2e/memory.ts'
import { quantile } from '../e2e/quantile.ts'
import type { Load } from './drive.ts'
import { runClient } from './drive.ts'
import { forgetPeak } from './machine.ts'
import { untilQuiet } from './stage.ts'

/** What a flood showed. Times in ms, memory in MiB. */
export interface Flood {
  readonly name: string
  readonly accepted: number
  /** Accepted logins a second against those at 8 connections, just before or just after: the more of both. */
  readonly ofUnloaded: number | undefined
  readonly acceptedP99: number | undefined
  readonly refused: number
  readonly refusedP99: number | undefined
  readonly failed: number
  readonly reads: number
  readonly readErrors: number
  readonly readP50: number | undefined
  readonly readP99: number | undefined
  readonly memory: number | undefined
}

const SECONDS = 20
/** Twice: a machine that others share is not as fast in one minute as in the next. */
const UNLOADED_SECONDS = 5
const IN_FLIGHT = 200
const READS_PER_SECOND = 20

/** Floods a server. */
export async function flood(
  name: string,
  { login, read }: { readonly login: Load; readonly read: Load },
): Promise<Flood> {
  const before = await logins(login, 8, UNLOADED_SECONDS)
  forgetPeak(login.server.pids)
  const [busy, light] = await Promise.all([
    logins(login, IN_FLIGHT, SECONDS),
    runClient(read, { kind: 'open', file: read.file, seconds: SECONDS, rate: READS_PER_SECOND }),
  ])
  const memory = residentMemory(login.server.pids, 'VmHWM')
  await untilQuiet(login.server.pids).catch(() => {})
  const after = await logins(login, 8, UNLOADED_SECONDS)
  login.server.emptyLog()
  const { good, refused, failed } = busy
  const reads = light.outcome
  return {
    name,
    accepted: good.length,
    ofUnloaded: perSecond(busy) / Math.max(perSecond(before), perSecond(after)),
    acceptedP99: p(good, 0.99),
    refused: refused.length,
    refusedP99: p(refused, 0.99),
    failed: failed.length,
    reads: reads.good.length,
    readErrors: reads.refused.length + reads.failed.length,
    readP50: p([...reads.good, ...reads.failed], 0.5),
    readP99: p([...reads.good, ...reads.failed], 0.99),
    memory,
  }
}

async function logins(login: Load, connections: number, seconds: number) {
  return (await runClient(login, { kind: 'closed', file: login.file, connections, seconds }))
    .outcome
}

/** Over the whole time until the last answer: what is accepted late is not free. */
function perSecond({ good, ms }: { good: readonly number[]; ms: number }): number {
  return (good.length / ms) * 1_000
}

function p(times: readonly number[], share: number): number | undefined {
  return quantile(
    times.toSorted((a, b) => a - b),
    share,
  )
}
