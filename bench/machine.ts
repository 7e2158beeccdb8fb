// The machine: what it is, which cores serve and which ones load, and how much CPU a process has used.
// Linux counts that in /proc; elsewhere those figures are missing, and the report says so.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { HAS_PROC } from '../e2e/memory.ts'

/** Sets of cores as taskset takes them; undefined where nothing is pinned. */
export interface Cores {
  readonly server: string | undefined
  readonly load: string | undefined
}

/** Time of all cores together, in ms. */
export interface MachineTime {
  readonly busy: number
  readonly total: number
}

/** USER_HZ is 100 on every architecture that Bun runs on. */
const MS_PER_TICK = 10

/** CPU time that processes have used, all threads, in ms. Undefined without /proc. */
export function cpuTime(pids: readonly number[]): number | undefined {
  return HAS_PROC ? pids.reduce((sum, pid) => sum + cpuTimeOf(pid), 0) : undefined
}

function cpuTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name before the last bracket may hold spaces; utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK
}

/** The most that processes ever had is what they have now. */
export function forgetPeak(pids: readonly number[]): void {
  // proc(5): 5 resets the peak.
  if (HAS_PROC) for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** What all cores together have done since the machine started, in ms: `busy` is all that was not idle, stolen time too. */
export function machineTime(): MachineTime | undefined {
  if (!HAS_PROC) return undefined
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  // user nice system idle iowait irq softirq steal; what follows is contained in the first two.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const total = ticks.reduce((sum, value) => sum + value, 0)
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0)
  return { busy: (total - idle) * MS_PER_TICK, total: total * MS_PER_TICK }
}

/** Share of all cores, 0 to 1, that was used beside the `ours` ms of CPU that we know of. Undefined without /proc. */
export function noiseBetween(
  before: MachineTime | undefined,
  after: MachineTime | undefined,
  ours: number,
): number | undefined {
  if (!before || !after || after.total === before.total) return undefined
  return Math.max(0, after.busy - before.busy - ours) / (after.total - before.total)
}

/** One core for the servers, the others for the load, if there are two and taskset to hold programs there. */
export function chooseCores(): Cores {
  const [server, ...others] = allowedCores()
  if (server === undefined || !Bun.which('taskset')) return { server: undefined, load: undefined }
  // The other thread of the same core would share its units with the server.
  const siblings = siblingsOf(server)
  const load = others.filter((core) => !siblings.includes(core))
  return load.length === 0
    ? { server: undefined, load: undefined }
    : { server: String(server), load: load.join() }
}

/** A command, held on some cores. */
export function pinned(cores: string | undefined, command: readonly string[]): string[] {
  return cores === undefined ? [...command] : ['taskset', '-c', cores, ...command]
}

/** For the head of the report. */
export function describeMachine(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  const model = cpus()[0]?.model ?? 'unknown processor'
  const cores = cpus().length
  const usable = availableParallelism() < cores ? ` (${availableParallelism()} usable)` : ''
  return `${model}, ${cores} cores${usable}, ${memory} GiB; ${process.platform} ${release()}, ${process.arch}`
}

function allowedCores(): number[] {
  if (!HAS_PROC) return []
  const status = readFileSync('/proc/self/status', 'utf8')
  return parseList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '')
}

function siblingsOf(core: number): number[] {
  const file = `/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`
  return existsSync(file) ? parseList(readFileSync(file, 'utf8').trim()) : [core]
}

/** `0-2,5` → 0, 1, 2, 5. */
function parseList(list: string): number[] {
  return list
    .split(',')
    .filter(Boolean)
    .flatMap((part) => {
      const [first = 0, last = first] = part.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    })
}
