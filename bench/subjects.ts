// What is measured: the real server's operations, and the ceilings that they are held against.

import { writeFileSync } from 'node:fs'
import type { Burst, Load } from './load.ts'
import { burst, hashBurst } from './load.ts'
import type { Cores } from './machine.ts'
import type { Server, Stage } from './stage.ts'
import { SERVE, settings } from './stage.ts'

/** One thing to measure, again and again. */
export interface Subject {
  readonly name: SubjectName
  burst(seconds: number): Promise<Burst>
}

export type SubjectName = 'bareEcho' | 'dressedEcho' | 'me' | 'jwks' | 'hash' | 'login' | 'signup'

/** As many accounts as connections, so that no account is used twice at a time. */
const ACCOUNTS = 16
const CONNECTIONS = { light: 16, heavy: 8 } as const
/** More than a burst can make. */
const NUMBERS_PER_BURST = 1_000_000

const JWKS = '/.well-known/jwks.json'
const PASSWORD = 'correct horse battery staple'
const ME = '{ me { id email } }'
const LOGIN =
  'mutation Login($email: String!, $password: String!) { login(email: $email, password: $password) { __typename ... on LoggedIn { user { id email } tokens { accessToken expiresIn } } } }'
const SIGNUP =
  'mutation Signup($email: String!, $password: String!) { signup(email: $email, password: $password) { user { id email } tokens { accessToken expiresIn } } }'

/** Starts the servers, makes the accounts, and returns what can be measured, in the order of a round. */
export async function prepare(stage: Stage, cores: Cores): Promise<Subject[]> {
  const server = await startReal(stage, cores)
  const tokens = await makeAccounts(server)
  const real = createLoads(stage, { server, tokens, cores })
  const headers = await commonHeaders(server, tokens[0] ?? '')
  const echo = (...args: string[]) =>
    stage.start({ args: ['bench/echo.ts', ...args], cores: cores.server })
  const bare = await echo('bare')
  const dressed = await echo('dressed', JSON.stringify(headers))
  return [
    subject('bareEcho', { ...real.me, server: bare, counted: undefined }),
    subject('dressedEcho', { ...real.me, server: dressed, counted: undefined }),
    subject('me', real.me),
    subject('jwks', real.jwks),
    { name: 'hash', burst: (seconds) => hashBurst(seconds, cores.server) },
    subject('login', real.login),
    subject('signup', real.signup),
  ]
}

/** The load for each operation of the real server. */
export function createLoads(
  stage: Stage,
  { server, tokens, cores }: { server: Server; tokens: readonly string[]; cores: Cores },
): Record<'me' | 'jwks' | 'login' | 'signup', Load> {
  const light = { server, path: '/graphql', connections: CONNECTIONS.light, cores: cores.load }
  const heavy = { ...light, connections: CONNECTIONS.heavy }
  const me = JSON.stringify({ query: ME })
  return {
    me: {
      ...light,
      file: write(
        'me',
        tokens.map((token) => line('POST', token, me)),
      ),
      counted: count(
        server,
        'munjigi_graphql_operation_seconds_count',
        'field="me"',
        'outcome="ok"',
      ),
    },
    jwks: {
      ...light,
      path: JWKS,
      file: write('jwks', [line('GET', '', '')]),
      counted: count(server, 'http_requests_total', `route="${JWKS}"`, 'status="200"'),
    },
    login: {
      ...heavy,
      file: write(
        'login',
        tokens.map((_, i) => line('POST', '', credentials(LOGIN, email(i)))),
      ),
      counted: count(server, 'munjigi_logins_total', 'result="success"'),
    },
    signup: {
      ...heavy,
      file: write('signup', [line('POST', '', credentials(SIGNUP, 'new-{n}@example.com'))]),
      counted: count(server, 'munjigi_signups_total', 'result="success"'),
    },
  }

  function write(name: string, lines: readonly string[]): string {
    const file = stage.path(`${name}.tsv`)
    writeFileSync(file, `${lines.join('\n')}\n`)
    return file
  }
}

/** Starts the real server on a database of its own. `flags`: more arguments for Bun. */
export async function startReal(
  stage: Stage,
  cores: Cores,
  flags: readonly string[] = [],
): Promise<Server> {
  return await stage.start({
    args: [...flags, ...SERVE],
    env: settings(stage.path('load.db')),
    cores: cores.server,
  })
}

/** Signs up the accounts that log in later, one after the other: a loaded server may refuse. Returns a token of each. */
export async function makeAccounts(server: Server): Promise<string[]> {
  const tokens: string[] = []
  while (tokens.length < ACCOUNTS) tokens.push(await signUp(server, email(tokens.length)))
  return tokens
}

async function signUp(server: Server, address: string): Promise<string> {
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: credentials(SIGNUP, address),
  })
  const text = await response.text()
  const [, token] = /"accessToken":"([^"]+)"/.exec(text) ?? []
  if (token === undefined) throw new Error(`no account could be made: ${text}`)
  return token
}

function line(method: string, token: string, body: string): string {
  return [method, token, body].join('\t')
}

function credentials(query: string, address: string): string {
  return JSON.stringify({ query, variables: { email: address, password: PASSWORD } })
}

function email(i: number): string {
  return `kim-${i}@example.com`
}

/** What every answer of the server carries whatever it says: the dressed echo sends the same. */
async function commonHeaders(server: Server, token: string): Promise<Record<string, string>> {
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: ME }),
  })
  const answer = await response.text()
  if (!answer.includes(email(0))) throw new Error(`me does not answer: ${answer}`)
  const own = ['content-type', 'content-length', 'date', 'connection', 'x-request-id']
  return Object.fromEntries([...response.headers].filter(([name]) => !own.includes(name)))
}

function subject(name: SubjectName, load: Load): Subject {
  let bursts = 0
  return {
    name,
    burst(seconds) {
      bursts += 1
      return burst(load, seconds, bursts * NUMBERS_PER_BURST)
    },
  }
}

/** Reads one series of the server's own metrics. */
function count(server: Server, series: string, ...labels: string[]) {
  return async (): Promise<number> => {
    const text = await (await fetch(server.metricsUrl ?? '')).text()
    return text
      .split('\n')
      .filter((text) => text.startsWith(`${series}{`) && labels.every((l) => text.includes(l)))
      .reduce((sum, text) => sum + Number(text.slice(text.lastIndexOf(' '))), 0)
  }
}
