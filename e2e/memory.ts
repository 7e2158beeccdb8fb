// How much memory processes have. Linux counts it in /proc; elsewhere the figure is missing.

import { existsSync, readFileSync } from 'node:fs'

/** Whether CPU time and memory of other processes can be read here. */
export const HAS_PROC = existsSync('/proc/self/stat')

/** Resident memory of processes in MiB, or the most they had since `forgetPeak` (`VmHWM`). Undefined without /proc. */
export function residentMemory(
  pids: readonly number[],
  field: 'VmRSS' | 'VmHWM' = 'VmRSS',
): number | undefined {
  if (!HAS_PROC) return undefined
  const kib = (pid: number) =>
    new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return pids.reduce((sum, pid) => sum + Number(kib(pid) ?? 0), 0) / 1024
}
