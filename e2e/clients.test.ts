// What applications see of us through the clients they use. The code of docs/clients.md is what runs here: its blocks,
// word for word, with the address of the test's server in place of the one on the page.

import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { fetchExchange, Client as UrqlClient } from '@urql/core'
import { GraphQLClient } from 'graphql-request'
import type { ErrorCode } from '../src/errors.ts'
import { ERRORS } from '../src/errors.ts'
import { requires } from './requirement.ts'
import type { Server } from './server.ts'
import { startServer, UNTHROTTLED } from './server.ts'

// Busy servers are part of this, and a statement may wait for its database for 1.5 seconds.
setDefaultTimeout(60_000)

const ROOT = new URL('../', import.meta.url)
const PAGE = readFileSync(new URL('docs/clients.md', ROOT), 'utf8')
/** As the page has it. */
const ADDRESS = 'http://localhost:3000/graphql'

const CLIENTS = ['apollo', 'urql', 'graphql-request', 'fetch'] as const
type ClientName = (typeof CLIENTS)[number]

/** What the page gives to one client: the exports of its own block and of those that all share. */
interface Connection {
  readonly name: ClientName
  /** Where its blocks are. */
  readonly folder: string
  readonly send: Send
  readonly faultOf: (error: unknown) => Readonly<Record<string, unknown>> | undefined
  readonly session: { accessToken: string | undefined; refreshToken: string | undefined }
  readonly SIGNUP: string
  readonly LOGIN: string
  readonly ME: string
  readonly signup: (send: Send, email: string, password: unknown) => Promise<{ user: Person }>
  readonly login: (send: Send, email: string, password: unknown) => Promise<LoginResult>
  readonly me: (send: Send) => Promise<Person>
  readonly refreshing: (send: Send, faultOf: Connection['faultOf']) => Send
  readonly patiently: <T>(call: () => Promise<T>, faultOf: Connection['faultOf']) => Promise<T>
}

type Send = (operation: string, variables?: Record<string, unknown>) => Promise<unknown>

interface Person {
  readonly id: string
  readonly email: string
}

interface LoginResult {
  readonly __typename: string
  readonly user?: Person
  readonly message?: string
}

/** What the clients throw: each has the errors of the answer somewhere, and some the response. */
interface ClientFailure {
  readonly message: string
  readonly errors?: readonly WireError[]
  readonly graphQLErrors?: readonly WireError[]
  readonly response?: Response & { readonly errors?: readonly WireError[] }
  readonly networkError?: unknown
}

interface WireError {
  readonly message: string
  readonly extensions: Readonly<Record<string, unknown>>
}

const PASSWORD = 'correct horse battery staple'
const NOBODY = 'nobody@example.com'
/** What is sent in the wrong place must not come back in a message. */
const SECRET = 'hunter2'
const REQUEST_ID = expect.stringMatching(/^req_[\w-]+$/)

/** One way to be refused, and what every client shows of it. */
interface Refusal {
  readonly when: string
  readonly ask: (connection: Connection) => Promise<unknown>
  /** All extensions but the request's id. */
  readonly fault: { readonly code: ErrorCode } & Readonly<Record<string, string>>
  /** A header of the answer: its name and value. */
  readonly header?: readonly [string, string]
}

const REFUSALS: readonly Refusal[] = [
  {
    when: 'the e-mail address is none',
    ask: ({ signup, send }) => signup(send, 'kim', PASSWORD),
    fault: { code: 'INVALID_EMAIL', field: 'email', reason: 'malformed' },
  },
  {
    when: 'the e-mail address is too long',
    ask: ({ signup, send }) => signup(send, `${'k'.repeat(250)}@example.com`, PASSWORD),
    fault: { code: 'INVALID_EMAIL', field: 'email', reason: 'too_long' },
  },
  {
    when: 'the password is too short',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', SECRET),
    fault: { code: 'WEAK_PASSWORD', field: 'password', reason: 'too_short' },
  },
  {
    when: 'the password is too long',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', SECRET.repeat(200)),
    fault: { code: 'WEAK_PASSWORD', field: 'password', reason: 'too_long' },
  },
  {
    when: 'the password is half a character',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', `${PASSWORD}\ud800`),
    fault: { code: 'WEAK_PASSWORD', field: 'password', reason: 'malformed' },
  },
  {
    when: 'somebody has the e-mail address',
    ask: async ({ name, signup, send }) => {
      await signup(send, `taken-${name}@example.com`, PASSWORD)
      return await signup(send, `TAKEN-${name}@example.com`, PASSWORD)
    },
    fault: { code: 'EMAIL_TAKEN', field: 'email' },
  },
  {
    when: 'e-mail and password do not belong together',
    ask: ({ login, send }) => login(send, NOBODY, SECRET),
    fault: { code: 'INVALID_CREDENTIALS' },
  },
  {
    when: 'it asks who it is and sends no token',
    ask: ({ me, send }) => me(send),
    fault: { code: 'UNAUTHENTICATED' },
    header: ['www-authenticate', 'Bearer'],
  },
  {
    when: 'it sends a token that is not valid',
    ask: ({ me, send, session }) => {
      session.accessToken = 'not.a.token'
      return me(send)
    },
    fault: { code: 'UNAUTHENTICATED' },
    header: ['www-authenticate', 'Bearer error="invalid_token"'],
  },
  {
    when: 'it asks for a field that does not exist',
    ask: ({ send }) => send('query { you { id } }'),
    fault: { code: 'GRAPHQL_VALIDATION_FAILED' },
  },
  {
    when: 'a value in the operation has the wrong type',
    ask: ({ send }) => send(`mutation { login(email: "k", password: ${SECRET}) { __typename } }`),
    fault: { code: 'GRAPHQL_VALIDATION_FAILED' },
  },
  {
    when: 'a variable has the wrong type',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', [SECRET]),
    fault: { code: 'BAD_USER_INPUT', field: 'password' },
  },
  {
    when: 'a variable is missing',
    ask: ({ send, SIGNUP }) => send(SIGNUP, { password: SECRET }),
    fault: { code: 'BAD_USER_INPUT', field: 'email' },
  },
  {
    when: 'there are too many aliases',
    ask: ({ send }) => send(`query { ${times(16, (n) => `a${n}: me { id }`)} }`),
    fault: { code: 'QUERY_TOO_COMPLEX', limit: 'aliases' },
  },
  {
    when: 'there are too many tokens',
    ask: ({ send }) => send(`query { me { ${times(1_000, () => 'id')} } }`),
    fault: { code: 'QUERY_TOO_COMPLEX', limit: 'tokens' },
  },
  {
    when: 'it logs in twice in one request',
    ask: ({ send }) =>
      send(
        `mutation { ${times(2, (n) => `a${n}: login(email: "a", password: "b") { __typename }`)} }`,
      ),
    fault: { code: 'QUERY_TOO_COMPLEX', limit: 'credentialFields' },
  },
  {
    when: 'the body is too large',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', SECRET.repeat(20_000)),
    fault: { code: 'PAYLOAD_TOO_LARGE' },
  },
]

/** How each client can be made to send a query by GET. For urql that is what it does unless told otherwise. */
const BY_GET: Readonly<Record<ClientName, (url: string, query: string) => Promise<unknown>>> = {
  apollo: (uri, query) =>
    new ApolloClient({
      cache: new InMemoryCache(),
      link: new HttpLink({ uri, useGETForQueries: true }),
    }).query({ query: gql(query) }),
  urql: async (url, query) => {
    const { error } = await new UrqlClient({ url, exchanges: [fetchExchange] }).query(query, {})
    throw error
  },
  'graphql-request': (url, query) => new GraphQLClient(url, { method: 'GET' }).request(query),
  fetch: async (url, query) => {
    const response = await fetch(`${url}?query=${encodeURIComponent(query)}`)
    throw Object.assign(new Error(), (await response.json()) as object, { response })
  },
}

/** Of every client at once: alone they are more than may be hashed (one a core) and wait (100). */
const LOGINS = availableParallelism() + 100 + 20

const folder = mkdtempSync(join(tmpdir(), 'munjigi-clients-'))
// Modules find their packages from where they lie.
symlinkSync(fileURLToPath(new URL('node_modules', ROOT)), join(folder, 'node_modules'))

let server: Server
beforeAll(async () => {
  server = await startServer({ mode: 'serve', env: UNTHROTTLED })
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

describe.each(CLIENTS)('%s', (name) => {
  test('signs up, logs in, asks who it is, and is told that it has logged in already', async () => {
    const { send, session, signup, login, me } = await connect(name, server)
    const email = `walk-${name}@example.com`

    expect((await signup(send, email, PASSWORD)).user.email).toBe(email)
    session.accessToken = undefined
    const first = await login(send, email, PASSWORD)
    expect(first.__typename).toBe('LoggedIn')
    expect(first.user?.email).toBe(email)
    expect((await me(send)).email).toBe(email)
    const again = await login(send, 'lee@example.com', 'whatever')
    expect(again.__typename).toBe('AlreadyLoggedIn')
    expect(again.message).toBe(`이미 ${email}로 로그인 하였습니다.`)
  })

  for (const { when, ask, fault, header } of REFUSALS)
    test(`sees ${fault.code} when ${when}`, async () => {
      const connection = await connect(name, server)
      const error = await failureOf(ask(connection))

      expect(connection.faultOf(error)).toEqual({ ...fault, requestId: REQUEST_ID })
      expectResponse(connection, error, { status: ERRORS[fault.code].status, header })
      expect(JSON.stringify(errorsOf(error))).not.toContain(SECRET)
    })

  test('sees METHOD_NOT_ALLOWED when it sends a query by GET', async () => {
    const connection = await connect(name, server)
    const error = await failureOf(BY_GET[name](`${server.url}/graphql`, connection.ME))

    expect(errorsOf(error)).toMatchObject([{ extensions: { code: 'METHOD_NOT_ALLOWED' } }])
    expectResponse(connection, error, { status: 405, header: ['allow', 'POST'] })
  })

  test('sees NOT_FOUND when the path is wrong', async () => {
    const connection = await connect(name, { url: `${server.url}/api` })
    const error = await failureOf(connection.me(connection.send))

    expect(connection.faultOf(error)).toMatchObject({ code: 'NOT_FOUND' })
    expectResponse(connection, error, { status: 404 })
  })

  test('sees a failure of the network, and no code, when no server answers', async () => {
    await using gone = await startServer({ mode: 'serve' })
    const connection = await connect(name, gone)
    await gone.stop()
    const error = await failureOf(connection.me(connection.send))

    expect(connection.faultOf(error)).toBeUndefined()
    expect(error.networkError ?? error).toBeInstanceOf(TypeError)
  })
})

describe('text that is not GraphQL', () => {
  test.each(['apollo', 'urql'] as const)('does not leave %s', async (name) => {
    const connection = await connect(name, server)
    const error = await failureOf(connection.send('query { me'))
    expect(error).toMatchObject({ name: 'GraphQLError' })
    expect(connection.faultOf(error)).toBeUndefined()
  })

  test.each(['graphql-request', 'fetch'] as const)(
    'comes back to %s as GRAPHQL_PARSE_FAILED',
    async (name) => {
      const connection = await connect(name, server)
      const error = await failureOf(connection.send(`query { me ${SECRET}`))
      expect(connection.faultOf(error)).toMatchObject({ code: 'GRAPHQL_PARSE_FAILED' })
      expectResponse(connection, error, { status: 400 })
      expect(JSON.stringify(errorsOf(error))).not.toContain(SECRET)
    },
  )
})

test('whoever guesses too often is told RATE_LIMITED and when to come back, whatever the client', async () => {
  const env = { MUNJIGI_THROTTLE_USER_ATTEMPTS: '1', MUNJIGI_THROTTLE_USER_DELAY: '1h' }
  await using own = await startServer({
    mode: 'serve',
    env: { ...env, MUNJIGI_THROTTLE_USER_MAX_DELAY: '1h' },
  })
  const [first, ...others] = await connectAll(own)
  if (!first) throw new Error('there is no client')
  const guess = ({ login, send }: Connection) => failureOf(login(send, NOBODY, PASSWORD))
  expect(first.faultOf(await guess(first))).toMatchObject({ code: 'INVALID_CREDENTIALS' })
  for (const connection of [first, ...others]) {
    const error = await guess(connection)
    const { code, retryAfter } = connection.faultOf(error) ?? {}
    expect([connection.name, code]).toEqual([connection.name, 'RATE_LIMITED'])
    expect(Number(retryAfter)).toBeGreaterThan(3_000)
    expectResponse(connection, error, {
      status: 429,
      header: ['retry-after', String(retryAfter)],
    })
  }
})

describe('a server that is busy', () => {
  test('tells every client OVERLOADED and when to come back, and then serves on', async () => {
    const connections = await connectAll(server)
    const attempts = Array.from({ length: LOGINS }).flatMap(() =>
      connections.map((connection) => ({
        connection,
        error: failureOf(connection.login(connection.send, NOBODY, PASSWORD)),
      })),
    )
    const refused = new Set<ClientName>()
    for (const { connection, error } of attempts) {
      const { code, retryAfter } = connection.faultOf(await error) ?? {}
      // A slow machine may not get through the queue before the deadline of the requests in it.
      expect(['INVALID_CREDENTIALS', 'OVERLOADED', 'SERVICE_UNAVAILABLE']).toContain(String(code))
      if (code !== 'OVERLOADED') continue
      refused.add(connection.name)
      expect(retryAfter).toBe(1)
      expectResponse(connection, await error, { status: 503, header: ['retry-after', '1'] })
    }
    expect(refused).toEqual(new Set(CLIENTS))
    for (const { faultOf, login, send } of connections)
      expect(faultOf(await failureOf(login(send, NOBODY, PASSWORD)))).toMatchObject({
        code: 'INVALID_CREDENTIALS',
      })
  })

  test('tells every client SERVICE_UNAVAILABLE while the database takes no writes', async () => {
    await using stuck = await startStuckServer()
    const errors = (await connectAll(stuck.server)).map(async (connection) => ({
      connection,
      error: await failureOf(signupAs(connection)),
    }))
    for (const { connection, error } of await Promise.all(errors)) {
      expect(connection.faultOf(error)).toEqual({
        code: 'SERVICE_UNAVAILABLE',
        retryAfter: 1,
        requestId: REQUEST_ID,
      })
      expectResponse(connection, error, { status: 503, header: ['retry-after', '1'] })
    }
  })

  test('serves those who wait as told', async () => {
    await using stuck = await startStuckServer()
    const connections = await connectAll(stuck.server)
    for (const { name, folder } of connections)
      if (name === 'apollo') await import(join(folder, 'apollo-waiting.js'))
    let refused = 0
    const allRefused = stuck.server.logged('http.request', ({ status }) => {
      if (status === 503) refused += 1
      return refused === CLIENTS.length
    })
    // Apollo waits in its link; the others by the function that is there for all.
    const answers = connections.map((connection) =>
      connection.name === 'apollo'
        ? signupAs(connection)
        : connection.patiently(() => signupAs(connection), connection.faultOf),
    )
    await allRefused
    stuck.release()
    const emails = (await Promise.all(answers)).map(({ user }) => user.email)
    expect(emails).toEqual(connections.map(({ name }) => `${name}@example.com`))
  })
})

describe('an access token that has expired', () => {
  /** Every way of the page to refresh: its name, and how it makes `send` of a connection. */
  const ways: Array<[string, ClientName, (connection: Connection) => Promise<Send>]> = [
    ...CLIENTS.map((name): [string, ClientName, (c: Connection) => Promise<Send>] => [
      `${name} by refreshing.js`,
      name,
      async ({ refreshing, send, faultOf }) => refreshing(send, faultOf),
    ]),
    [
      'apollo by its link',
      'apollo',
      async ({ folder: own, send }) => {
        await import(join(own, 'apollo-refreshing.js'))
        return send
      },
    ],
    [
      'urql by its exchange',
      'urql',
      async ({ folder: own }) => {
        const { client } = await import(join(own, 'urql-refreshing.js'))
        // A context of its own: five equal queries at once would be one request.
        return async (operation) => {
          const { data, error } = await client.query(
            operation,
            {},
            { requestPolicy: 'network-only', own: {} },
          )
          if (error) throw error
          return data
        }
      },
    ],
  ]

  test.each(ways)('costs five requests at once one refresh: %s', async (_, name, sendOf) => {
    await using own = await startServer({ mode: 'serve' })
    const connection = await connect(name, own)
    await signupAs(connection)
    const send = await sendOf(connection)
    connection.session.accessToken = `${connection.session.accessToken}x`
    const asked = ['A', 'B', 'C', 'D', 'E'].map((n) => send(`query ${n} { me { email } }`))
    const answers = (await Promise.all(asked)) as Array<{ me: Person }>
    expect(answers.map(({ me }) => me.email)).toEqual(Array(5).fill(`${name}@example.com`))
    await own.stop()
    expect(refreshesIn(own)).toBe(1)
  })

  test.each(ways)(
    'without a refresh token that works ends in UNAUTHENTICATED: %s',
    async (_, name, sendOf) => {
      const connection = await connect(name, server)
      await connection.signup(connection.send, `over-${crypto.randomUUID()}@example.com`, PASSWORD)
      const send = await sendOf(connection)
      connection.session.accessToken = 'expired'
      connection.session.refreshToken = 'mjr_ended'
      const error = await failureOf(send('query Me { me { email } }'))
      expect(errorsOf(error)[0]?.extensions['code']).toBe('UNAUTHENTICATED')
      expect(connection.session.refreshToken).toBeUndefined()
    },
  )

  test('that fails after the others have refreshed is only sent again', async () => {
    await using own = await startServer({ mode: 'serve' })
    const connection = await connect('fetch', own)
    await signupAs(connection)
    connection.session.accessToken = `${connection.session.accessToken}x`
    const late = Promise.withResolvers<void>()
    const slowly: Send = async (operation) => {
      const answer = connection.send(operation)
      await Promise.allSettled([answer, late.promise])
      return await answer
    }
    const last = connection.refreshing(slowly, connection.faultOf)(connection.ME)
    await connection.refreshing(connection.send, connection.faultOf)(connection.ME)
    late.resolve()
    expect(await last).toMatchObject({ me: { email: 'fetch@example.com' } })
    await own.stop()
    expect(refreshesIn(own)).toBe(1)
  })
})

describe('docs/clients.md', () => {
  test('has every code with its status', () => {
    const rows = [...PAGE.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \|/gm)]
    const codes = Object.entries(ERRORS).map(([code, { status }]) => [code, status])
    expect(new Map(rows.map(([, code, status]) => [code, Number(status)]))).toEqual(
      new Map(codes as Array<[string, number]>),
    )
  })

  test.skipIf(!requires('curl', Bun.which('curl') !== null))(
    'has commands for curl that work',
    async () => {
      await using own = await startServer({ mode: 'serve' })
      const script = blocks(`${own.url}/graphql`).get('curl') ?? ''
      const shell = Bun.spawnSync(['bash', '-eu', '-c', script])
      expect(JSON.parse(shell.stdout.toString())).toMatchObject({
        data: { me: { email: 'lee@example.com' } },
      })
    },
  )

  test('is right that mutations of urql go by POST whatever its default is', async () => {
    const client = new UrqlClient({ url: `${server.url}/graphql`, exchanges: [fetchExchange] })
    const { LOGIN } = await connect('urql', server)
    const { error } = await client.mutation(LOGIN, { email: NOBODY, password: PASSWORD })
    expect(error?.graphQLErrors[0]?.extensions['code']).toBe('INVALID_CREDENTIALS')
  })

  test('is right that the error text of graphql-request contains the password', async () => {
    const { login, send } = await connect('graphql-request', server)
    const error = await failureOf(login(send, NOBODY, PASSWORD))
    expect(error.message).toContain(PASSWORD)
  })
})

function refreshesIn({ lines }: Server): number {
  return lines.filter((line) => line.includes('"event":"session.refreshed"')).length
}

function connectAll(to: { readonly url: string }): Promise<Connection[]> {
  return Promise.all(CLIENTS.map((name) => connect(name, to)))
}

/** Modules of its own for every connection: their token and their client are theirs alone. */
async function connect(name: ClientName, { url }: { readonly url: string }): Promise<Connection> {
  const own = mkdtempSync(join(folder, `${name}-`))
  for (const [file, text] of blocks(`${url}/graphql`)) writeFileSync(join(own, file), text)
  const modules = ['munjigi.js', 'waiting.js', 'refreshing.js', `${name}.js`].map(
    (file) => import(join(own, file)),
  )
  return Object.assign({ name, folder: own }, ...(await Promise.all(modules))) as Connection
}

/** The blocks of the page that have a name, for another address. */
function blocks(address: string): Map<string, string> {
  const found = [...PAGE.matchAll(/```(?:js|sh) (\S+)\n([\s\S]*?)```/g)]
  return new Map(
    found.map(([, name = '', text = '']) => [name, text.replaceAll(ADDRESS, address)] as const),
  )
}

function signupAs({ name, signup, send }: Connection): Promise<{ user: Person }> {
  return signup(send, `${name}@example.com`, PASSWORD)
}

/** A server whose database is being written by somebody else, who does not come to an end until `release`. */
async function startStuckServer() {
  const file = join(mkdtempSync(join(folder, 'stuck-')), 'munjigi.db')
  const started = await startServer({ mode: 'serve', database: `file:${file}` })
  const database = new Database(file)
  // The server itself writes once a second.
  database.run('PRAGMA busy_timeout = 5000')
  database.run('BEGIN IMMEDIATE')
  return {
    server: started,
    release: () => database.run('ROLLBACK'),
    async [Symbol.asyncDispose]() {
      database.close()
      await started.stop()
    },
  }
}

async function failureOf(answer: Promise<unknown>): Promise<ClientFailure> {
  try {
    await answer
  } catch (error) {
    return error as ClientFailure
  }
  throw new Error('it was not refused')
}

function errorsOf(error: ClientFailure): readonly WireError[] {
  return error.graphQLErrors ?? error.response?.errors ?? error.errors ?? []
}

/** Apollo shows nothing of the response; the others all of it. */
function expectResponse(
  { name }: Connection,
  { response }: ClientFailure,
  { status, header }: { status: number; header?: readonly [string, string] | undefined },
): void {
  if (name === 'apollo') {
    expect(response).toBeUndefined()
    return
  }
  expect(response?.status).toBe(status)
  if (header) expect(response?.headers.get(header[0])).toBe(header[1])
}

function times(count: number, text: (n: number) => string): string {
  return Array.from({ length: count }, (_, n) => text(n)).join(' ')
}
