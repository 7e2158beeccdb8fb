// Other auth servers, as they are shipped, under the same load by the same scripts. They are installed from their own
// registries into .cache/peers; one that cannot be had is reported as skipped.

import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../e2e/stack.ts'
import type { Load } from './load.ts'
import type { Cores } from './machine.ts'
import { ACCOUNTS, CONNECTIONS } from './real.ts'
import type { RequestLine } from './requests.ts'
import { send, writeRequests } from './requests.ts'
import type { Program, Stage } from './stage.ts'
import { ROOT } from './stage.ts'
import type { Starter } from './startup.ts'
import { time } from './startup.ts'

/** One that runs, with accounts. */
export interface Peer {
  readonly name: string
  readonly about: string
  readonly loads: { readonly login: Load; readonly read: Load; readonly refresh?: Load }
  readonly starter: Starter
}

interface Kind {
  readonly name: string
  readonly version: string
  /** What it does by default, for the report. */
  readonly about: string
  /** Throws when it cannot be had. */
  install(folder: string): Promise<void>
  program(folder: string, data: string): Promise<Program>
  /** Answers without a session. */
  readonly healthPath: string
  /** Makes one account. */
  open(url: string, email: string): Promise<Requests>
}

/** What one account does. */
interface Requests {
  readonly login: RequestLine
  readonly read: RequestLine
  readonly refresh?: RequestLine
}

const PASSWORD = 'seven willows by the east gate'

const BETTER_AUTH: Kind = {
  name: 'better-auth',
  version: '1.7.25',
  about: 'scrypt, bun:sqlite; read: get-session by cookie; it has no refresh token; rate limit off',
  async install(folder) {
    if (!existsSync(join(folder, 'node_modules', 'better-auth'))) {
      writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
      await run([process.execPath, 'add', '--exact', `better-auth@${this.version}`], folder)
    }
    copyFileSync(join(import.meta.dir, 'peers', 'better-auth.mjs'), join(folder, 'server.mjs'))
  },
  program: async (folder, data) => ({
    args: [join(folder, 'server.mjs'), `${data}.db`],
    env: { NODE_ENV: 'production' },
    cores: undefined,
  }),
  healthPath: '/api/auth/ok',
  async open(url, email) {
    const account = { email, password: PASSWORD }
    await send(url, post('/api/auth/sign-up/email', { ...account, name: 'Kim' }))
    const login = post('/api/auth/sign-in/email', account)
    const cookie = (await send(url, login)).headers.getSetCookie().map((c) => c.split(';')[0])
    const read = get('/api/auth/get-session', `Cookie: ${cookie.join('; ')}`)
    return { login, read }
  },
}

const POCKETBASE: Kind = {
  name: 'PocketBase',
  version: '0.39.11',
  about:
    'bcrypt 10, its own SQLite; read: own record; refresh: signs again, writes and rotates nothing',
  async install(folder) {
    if (existsSync(join(folder, 'base'))) return
    if (!Bun.which('go')) throw new Error('it is built by Go, which is not installed')
    const source = `github.com/pocketbase/pocketbase/examples/base@v${this.version}`
    await run(['go', 'install', source], folder, { GOBIN: folder, CGO_ENABLED: '0' })
  },
  async program(folder, data) {
    const [port] = await freePorts(1)
    return {
      command: join(folder, 'base'),
      args: ['serve', '--dir', data, '--http', `127.0.0.1:${port}`],
      started(log) {
        const [, url] = /Server started at (http:\/\/[\d.:]+)/.exec(log) ?? []
        return url === undefined ? undefined : { url }
      },
      cores: undefined,
    }
  },
  healthPath: '/api/health',
  async open(url, email) {
    const users = '/api/collections/users'
    const account = { email, password: PASSWORD, passwordConfirm: PASSWORD }
    await send(url, post(`${users}/records`, account))
    const login = post(`${users}/auth-with-password`, { identity: email, password: PASSWORD })
    const { token, record } = (await (await send(url, login)).json()) as PocketBaseLogin
    const header = `Authorization: ${token}`
    const read = get(`${users}/records/${record.id}`, header)
    return { login, read, refresh: { method: 'POST', path: `${users}/auth-refresh`, header } }
  },
}

interface PocketBaseLogin {
  readonly token: string
  readonly record: { readonly id: string }
}

/** Installs, starts and fills all of them. `skipped`: which ones not, and why. */
export async function preparePeers(
  stage: Stage,
  cores: Cores,
  say: (what: string) => void,
): Promise<{ peers: Peer[]; skipped: string[] }> {
  const [peers, skipped]: [Peer[], string[]] = [[], []]
  for (const kind of [BETTER_AUTH, POCKETBASE]) {
    say(`${kind.name} ${kind.version}: installing and starting it (the first time takes minutes)`)
    try {
      peers.push(await preparePeer(stage, cores, kind))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      skipped.push(`${kind.name} ${kind.version}: ${reason.split('\n')[0]}`)
    }
  }
  return { peers, skipped }
}

async function preparePeer(stage: Stage, cores: Cores, kind: Kind): Promise<Peer> {
  const { name, version, about, healthPath } = kind
  const folder = join(ROOT, '.cache', 'peers', `${name}-${version}`)
  mkdirSync(folder, { recursive: true })
  await kind.install(folder)
  const program = async (data: string) => await kind.program(folder, stage.path(data))
  const server = await stage.start({ ...(await program(name)), cores: cores.server })
  const all: Requests[] = []
  while (all.length < ACCOUNTS)
    all.push(await kind.open(server.url, `kim-${all.length}@example.com`))

  const load = (part: keyof Requests, connections: number): Load => ({
    server,
    cores: cores.load,
    file: writeRequests(
      stage.path(`${name}-${part}.tsv`),
      all.flatMap((requests) => requests[part] ?? []),
    ),
    connections,
    counted: undefined,
  })
  const refresh = all[0]?.refresh && { refresh: load('refresh', CONNECTIONS.heavy) }
  return {
    name,
    about: `${version}; ${about}`,
    loads: {
      login: load('login', CONNECTIONS.heavy),
      read: load('read', CONNECTIONS.light),
      ...refresh,
    },
    starter: {
      name: `${name} start`,
      prime: async () => await (await stage.start(await program(`${name}-kept`))).stop(),
      time: async () => await time(stage, await program(`${name}-kept`), healthPath),
    },
  }
}

function post(path: string, body: Record<string, string>): RequestLine {
  return { method: 'POST', path, body: JSON.stringify(body) }
}

function get(path: string, header: string): RequestLine {
  return { method: 'GET', path, header }
}

async function run(
  command: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<void> {
  const child = Bun.spawn(command, {
    cwd,
    env: { ...process.env, ...env },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const complaints = await new Response(child.stderr).text()
  if ((await child.exited) !== 0)
    throw new Error(`${command[0]} failed: ${complaints.trim().split('\n').at(-1)}`)
}
