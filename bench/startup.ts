// How long a start takes, from the command to the first answer of /readyz, and the memory of a server that does nothing.

import { rmSync } from 'node:fs'
import { residentMemory } from '../e2e/memory.ts'
import { cpuTime, machineTime, noiseBetween } from './machine.ts'
import type { Program, Stage } from './stage.ts'
import { SERVE, settings } from './stage.ts'

/** One start. Times in ms, memory in MiB. */
export interface Start {
  readonly ms: number
  readonly cpu: number | undefined
  readonly memory: number | undefined
  /** As of a burst: share of all cores that others used meanwhile. */
  readonly noise: number | undefined
}

/** One kind of start, to be timed again and again. */
export interface Starter {
  readonly name: string
  /** Makes what its starts must find. */
  prime(): Promise<void>
  time(): Promise<Start>
}

/** How long a server is left alone before its memory is read. */
const IDLE_MS = 1_000

/** The kinds of start; the bare one, of Bun with Hono, is the floor of the others. */
export function createStarters(stage: Stage): Starter[] {
  const [kept, fresh] = [stage.path('kept.db'), stage.path('fresh.db')]
  const serve = (database: string): Program => ({
    args: SERVE,
    env: settings(database),
    // On all cores: starting is what a machine does when it has nothing else to do.
    cores: undefined,
  })
  const bare: Program = { args: ['bench/echo.ts', 'bare'], cores: undefined }
  const nothing = async () => {}
  return [
    { name: 'bareStart', prime: nothing, time: () => time(stage, bare, '/') },
    {
      name: 'warmStart',
      prime: async () => await (await stage.start(serve(kept))).stop(),
      time: () => time(stage, serve(kept), '/readyz'),
    },
    {
      name: 'coldStart',
      prime: nothing,
      time() {
        for (const suffix of ['', '-wal', '-shm']) rmSync(fresh + suffix, { force: true })
        return time(stage, serve(fresh), '/readyz')
      },
    },
  ]
}

/** Times one start, to the first answer of `path`. */
export async function time(stage: Stage, program: Program, path: string): Promise<Start> {
  const [started, before, own] = [performance.now(), machineTime(), process.cpuUsage()]
  const server = await stage.start(program)
  const response = await fetch(`${server.url}${path}`)
  const ms = performance.now() - started
  const cpu = cpuTime(server.pids)
  const { user, system } = process.cpuUsage(own)
  const noise = noiseBetween(before, machineTime(), (cpu ?? 0) + (user + system) / 1_000)
  if (path === '/readyz' && !response.ok) throw new Error(`not ready: ${await response.text()}`)
  await Bun.sleep(IDLE_MS)
  const memory = residentMemory(server.pids)
  await server.stop()
  return { ms, cpu, memory, noise }
}
