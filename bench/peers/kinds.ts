// What each of the other servers is: how it is had, how it starts, and what an account does there. As shipped, but for
// limits on one address.

import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../../e2e/ports.ts'
import type { RequestLine } from '../requests.ts'
import { operation, send } from '../requests.ts'
import type { Program } from '../stage.ts'

/** One of them. */
export interface Kind {
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
export interface Requests {
  readonly login: RequestLine
  readonly read: RequestLine
  readonly refresh?: RequestLine
}

const PASSWORD = 'seven willows by the east gate'

/** https://www.better-auth.com, a library: `better-auth.mjs` is the server around it. */
export const BETTER_AUTH: Kind = {
  name: 'better-auth',
  version: '1.7.25',
  about: 'scrypt, bun:sqlite; read: get-session by cookie; it has no refresh token; rate limit off',
  async install(folder) {
    if (!existsSync(join(folder, 'node_modules', 'better-auth'))) {
      writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
      await run([process.execPath, 'add', '--exact', `better-auth@${this.version}`], folder)
    }
    copyFileSync(join(import.meta.dir, 'better-auth.mjs'), join(folder, 'server.mjs'))
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

/** https://pocketbase.io, built from its own example program. */
export const POCKETBASE: Kind = {
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

/** https://www.djangoproject.com with https://graphene-python.org: `django_server.py` is the site around them. */
export const DJANGO: Kind = {
  name: 'Django',
  version: '5.2.19',
  about:
    'graphene-django 3.2.3, django-graphql-jwt 0.4.0, gunicorn 27.0.1 with three workers; PBKDF2 of 1,000,000 rounds, SQLite; read: `me`; refresh: signs again, writes and rotates nothing',
  async install(folder) {
    const environment = join(folder, 'env')
    if (!existsSync(join(environment, 'bin', 'gunicorn'))) {
      if (!Bun.which('python3')) throw new Error('it runs on Python, which is not installed')
      await run(['python3', '-m', 'venv', environment], folder)
      const packages = [
        `django==${this.version}`,
        ...['graphene-django==3.2.3', 'django-graphql-jwt==0.4.0', 'gunicorn==27.0.1'],
      ]
      await run([join(environment, 'bin', 'pip'), 'install', '--quiet', ...packages], folder)
    }
    copyFileSync(join(import.meta.dir, 'django_server.py'), join(folder, 'server.py'))
  },
  program: async (folder, data) => ({
    command: join(folder, 'env', 'bin', 'gunicorn'),
    args: [
      ...['--chdir', folder, '--preload', '--workers', String(WORKERS)],
      ...['--no-control-socket', '--bind', '127.0.0.1:0', 'server:application'],
    ],
    env: { DATABASE_FILE: `${data}.db` },
    started(log) {
      const [, url] = /Listening at: (http:\/\/[\d.:]+)/.exec(log) ?? []
      const workers = [...log.matchAll(/Booting worker with pid: (\d+)/g)].map(([, pid]) =>
        Number(pid),
      )
      return url === undefined || workers.length < WORKERS ? undefined : { url, workers }
    },
    cores: undefined,
  }),
  healthPath: '/graphql',
  async open(url, email) {
    const variables = { email, password: PASSWORD }
    const typed = '($email: String!, $password: String!)'
    const signup = `mutation ${typed} { signup(email: $email, password: $password) { user { id } } }`
    await send(url, operation(signup, { variables }))
    const login = operation(
      `mutation ${typed} { login(username: $email, password: $password) { token } }`,
      { variables },
    )
    const { data } = (await (await send(url, login)).json()) as DjangoLogin
    const { token } = data.login
    const header = `Authorization: JWT ${token}`
    const read = { ...operation('{ me { id email } }'), header }
    const renewal = 'mutation ($token: String!) { refresh(token: $token) { token } }'
    return { login, read, refresh: operation(renewal, { variables: { token } }) }
  },
}

/** What its documentation recommends for one core. */
const WORKERS = 3

interface DjangoLogin {
  readonly data: { readonly login: { readonly token: string } }
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
