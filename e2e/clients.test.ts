// What applications see of us through the clients they use. The code of docs/clients.md is what runs here: its blocks,
// word for word, with the address of the test's server in place of the one on the page.

import { Database } from 'bun:sqlite'
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  setSystemTime,
  test,
} from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { fetchExchange, Client as UrqlClient } from '@urql/core'
import { parse, print } from 'graphql'
import { GraphQLClient } from 'graphql-request'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import type { ErrorCode } from '../src/errors.ts'
import { ERRORS } from '../src/errors.ts'
import type { Services } from '../src/flows/services.ts'
import { LIMITS } from '../src/graphql/limits.ts'
import { createSchema } from '../src/schema.ts'
import { hasChromium } from './chromium.ts'
import type { Tabs } from './clients-browser.ts'
import { openTabs } from './clients-browser.ts'
import type { Caught, Link } from './clients-link.ts'
import { startLink } from './clients-link.ts'
import { freePort } from './ports.ts'
import { requires } from './requirement.ts'
import type { Server } from './server.ts'
import { startServer, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

// Busy servers are part of this, and a statement may wait for its database for three seconds.
setDefaultTimeout(60_000)

const ROOT = new URL('../', import.meta.url)
const PAGE = readFileSync(new URL('docs/clients.md', ROOT), 'utf8')
/** As the page has it. */
const ADDRESS = 'http://127.0.0.1:3000/graphql'

const CLIENTS = ['apollo', 'urql', 'graphql-request', 'fetch'] as const
type ClientName = (typeof CLIENTS)[number]

/** What the page gives to one client: the exports of its own block and of those that all share. */
interface Connection {
  readonly name: ClientName
  /** Where its blocks are. */
  readonly folder: string
  readonly send: Send
  readonly faultOf: (error: unknown) => Readonly<Record<string, unknown>> | undefined
  /** A session that is put here is a new object; the tests spoil the one that is. */
  readonly store: { readonly session: Spoilable }
  readonly begin: (tokens: Partial<Spoilable>) => Promise<void> | void
  readonly SIGNUP: string
  readonly LOGIN: string
  readonly ME: string
  /** Each library's has its own part of these. */
  readonly client: Pick<ApolloClient, 'clearStore' | 'mutate'> &
    Pick<UrqlClient, 'mutation'> &
    Pick<GraphQLClient, 'request'>
  /** Of urql. */
  readonly reconnect: () => void
  readonly signup: (send: Send, email: string, password: unknown) => Promise<{ user: Person }>
  readonly login: (send: Send, email: string, password: unknown) => Promise<LoginResult>
  readonly me: (send: Send) => Promise<Person>
  readonly logout: (send: Send, token?: string) => Promise<void>
  readonly changePassword: (send: Send, from: string, to: string) => Promise<void>
  readonly deleteMe: (send: Send, password: string) => Promise<void>
  readonly patiently: <T>(call: () => Promise<T>, faultOf: Connection['faultOf']) => Promise<T>
}

type Send = (operation: string, variables?: Record<string, unknown>) => Promise<unknown>

interface Spoilable {
  accessToken: string | undefined
  refreshToken: string | undefined
}

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
const NEW_PASSWORD = 'another horse, another battery'
const NOBODY = 'nobody@example.com'
/** Whoever is wrong once has to wait, for longer than a busy machine takes to send the next request. */
const HASTY = { MUNJIGI_THROTTLE_USER_ATTEMPTS: '1', MUNJIGI_THROTTLE_USER_DELAY: '4s' }
/** What is sent in the wrong place must not come back in a message. */
const SECRET = 'hunter2'
const REQUEST_ID = expect.stringMatching(/^req_[\w-]+$/)

/** One way to be refused, and what every client shows of it. */
interface Refusal {
  readonly when: string
  readonly ask: (connection: Connection) => Promise<unknown>
  /** All extensions but the request's id. */
  readonly fault: { readonly code: ErrorCode } & Readonly<Record<string, string | number>>
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
    fault: { code: 'WEAK_PASSWORD', field: 'password', reason: 'too_short', minLength: 8 },
  },
  {
    when: 'the password is too long',
    ask: ({ signup, send }) => signup(send, 'kim@example.com', SECRET.repeat(200)),
    fault: { code: 'WEAK_PASSWORD', field: 'password', reason: 'too_long', maxLength: 1_024 },
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
    ask: ({ me, send, store }) => {
      store.session.accessToken = 'not.a.token'
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

/** Passwords are hashed one at a time: with as many as a large machine has cores, nobody would be refused. */
const NARROW = { ...UNTHROTTLED, MUNJIGI_PASSWORD_HASH_CONCURRENCY: '1' }
/** Of every client at once: alone they are more than may be hashed (1) and wait (32). */
const LOGINS = 1 + 32 + 20

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
    const { send, store, signup, login, me } = await connect(name, server)
    const email = `walk-${name}@example.com`

    expect((await signup(send, email, PASSWORD)).user.email).toBe(email)
    store.session.accessToken = undefined
    const first = await login(send, email, PASSWORD)
    expect(first.__typename).toBe('LoggedIn')
    expect(first.user?.email).toBe(email)
    expect((await me(send)).email).toBe(email)
    const again = await login(send, 'lee@example.com', 'whatever')
    expect(again.__typename).toBe('AlreadyLoggedIn')
    expect(again.message).toBe(`이미 ${email}로 로그인 하였습니다.`)
  })

  test('sends documents that were generated, as text', async () => {
    const connection = await connect(name, server)
    const email = `document-${name}@example.com`
    const variables = { email, password: PASSWORD }
    expect(await connection.send(print(parse(connection.SIGNUP)), variables)).toMatchObject({
      signup: { user: { email } },
    })
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
    await using narrow = await startServer({ mode: 'serve', env: NARROW })
    const connections = await connectAll(narrow)
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

  test('serves clients that wait as they were told', async () => {
    await using own = await startServer({ mode: 'serve', env: HASTY })
    const refusals = () => eventsIn(own, 'throttle.refused')
    const served: Array<Promise<LoginResult>> = []
    const beRefused = async (connection: Connection) => {
      const { name, folder, send, store, login, patiently, faultOf } = connection
      // Apollo waits in its link; the others by the function that is there for all.
      if (name === 'apollo') await import(join(folder, 'apollo-waiting.js'))
      const { email } = (await signupAs(connection)).user
      // Else the login would only be told that there is one.
      store.session.accessToken = undefined
      expect(faultOf(await failureOf(login(send, email, 'wrong horse battery')))?.['code']).toBe(
        'INVALID_CREDENTIALS',
      )
      const right = () => login(send, email, PASSWORD)
      served.push(name === 'apollo' ? right() : patiently(right, faultOf))
      await until('it is told to wait', () => refusals().length >= served.length)
    }
    // One after the other: a slow machine would tell some of them that it is busy, and they would wait for that.
    for (const connection of await connectAll(own)) await beRefused(connection)
    const all = await Promise.all(served)
    expect(all.map(({ __typename }) => __typename)).toEqual(CLIENTS.map(() => 'LoggedIn'))
    await own.stop()
    expect(refusals()).toHaveLength(CLIENTS.length)
  })

  test('replaces the access tokens of all clients when the database takes writes again', async () => {
    await using stuck = await startStuckServer({ stuck: false })
    const connections = await connectAll(stuck.server)
    for (const connection of connections) {
      await signupAs(connection)
      expire(connection)
    }
    stuck.hold()
    const asked = connections.map(({ me, send }) => me(send))
    await until('each was told to wait', () => {
      const told = eventsIn(stuck.server, 'http.request').filter(({ status }) => status === 503)
      return told.length >= CLIENTS.length
    })
    stuck.release()
    const emails = (await Promise.all(asked)).map(({ email }) => email)
    expect(emails).toEqual(CLIENTS.map((name) => `${name}@example.com`))
  })

  test('shows every client why its access token could not be replaced, and leaves it the refresh token', async () => {
    await using stuck = await startStuckServer({ stuck: false })
    await using links = new AsyncDisposableStack()
    const waiting = await Promise.all(
      CLIENTS.map(async (name) => {
        const link = links.use(await startLink(stuck.server.url))
        const connection = await connect(name, link)
        await signupAs(connection)
        expire(connection)
        return { link, connection }
      }),
    )
    stuck.hold()
    const busy = await failuresLate(waiting, (caught) => caught.letGo())
    stuck.release()
    const lost = await failuresLate(waiting, (caught) => caught.lose())
    for (const [index, { connection }] of waiting.entries()) {
      const { faultOf, me, send, name } = connection
      expect(faultOf(busy[index])).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 1 })
      expect([name, faultOf(lost[index])]).toEqual([name, undefined])
      expect((await me(send)).email).toBe(`${name}@example.com`)
    }
  })
})

describe.each(CLIENTS)('an access token of %s that has expired', (name) => {
  test('costs five requests at once one refresh', async () => {
    await using own = await startServer({ mode: 'serve' })
    const { send, ...connection } = await connect(name, own)
    await signupAs({ send, ...connection })
    expire(connection)
    const asked = ['A', 'B', 'C', 'D', 'E'].map((n) => send(`query ${n} { me { email } }`))
    const answers = (await Promise.all(asked)) as Array<{ me: Person }>
    expect(answers.map(({ me }) => me.email)).toEqual(Array(5).fill(`${name}@example.com`))
    await own.stop()
    expect(refreshesIn(own)).toEqual(['rotated'])
  })

  test('is replaced once, and the request that fails after the others is only sent again', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection } = at
    expire(connection)
    const caught = link.catch('Late')
    const last = connection.send('query Late { me { email } }')
    const late = await caught
    await connection.me(connection.send)
    late.letGo()
    expect(await last).toMatchObject({ me: { email: `${name}@example.com` } })
    await own.stop()
    expect(refreshesIn(own)).toEqual(['rotated'])
  })

  test('and a refresh token that does not work end in UNAUTHENTICATED, without tokens', async () => {
    const connection = await connect(name, server)
    await signupAsSomebody(connection)
    const { session } = connection.store
    Object.assign(session, { accessToken: 'expired', refreshToken: 'mjr_ended' })
    const error = await failureOf(connection.me(connection.send))
    expect(connection.faultOf(error)?.['code']).toBe('UNAUTHENTICATED')
    expectNoTokens(connection)
  })

  test('is replaced at the second try when the answer to the first is lost', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection } = at
    expire(connection)
    const caught = link.catch('Refresh')
    const asked = connection.me(connection.send)
    ;(await caught).lose()
    expect((await asked).email).toBe(`${name}@example.com`)
    await own.stop()
    expect(refreshesIn(own)).toEqual(['rotated', 'repeated'])
    expect(eventsIn(own, 'session.reuse_detected')).toEqual([])
  })
})

describe.each(CLIENTS)('the end of a login, with %s', (name) => {
  test('ends the session, though its access token has expired', async () => {
    await using own = await startServer({ mode: 'serve' })
    const connection = await connect(name, own)
    await signupAs(connection)
    expire(connection)
    await connection.logout(connection.send)
    expectNoTokens(connection)
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  test('can be told to the server later', async () => {
    await using own = await startServer({ mode: 'serve' })
    await using gone = await startServer({ mode: 'serve' })
    await gone.stop()
    const offline = await connect(name, gone)
    const online = await connect(name, own)
    await signupAs(online)
    Object.assign(offline.store.session, online.store.session)
    const token = offline.store.session.refreshToken
    await failureOf(offline.logout(offline.send))
    expectNoTokens(offline)
    await signupAsSomebody(online)
    await online.logout(online.send, token)
    expect((await online.me(online.send)).email).not.toBe(`${name}@example.com`)
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  test('leaves no tokens when a refresh is under way', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection } = at
    expire(connection)
    const caught = link.catch('Refresh')
    const asked = failureOf(connection.me(connection.send))
    const refresh = await caught
    await connection.logout(connection.send)
    refresh.letGo()
    expect(connection.faultOf(await asked)?.['code']).toBe('UNAUTHENTICATED')
    expectNoTokens(connection)
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  test('and the late answer to its refresh leave the next login alone', async () => {
    await using link = await startLink(server.url)
    const connection = await connect(name, link)
    await signupAsSomebody(connection)
    const { session } = connection.store
    Object.assign(session, { accessToken: 'expired', refreshToken: 'mjr_ended' })
    const caught = link.catch('Refresh')
    const asked = failureOf(connection.me(connection.send))
    const refresh = await caught
    await connection.logout(connection.send)
    const email = await signupAsSomebody(connection)
    refresh.letGo()
    expect(connection.faultOf(await asked)?.['code']).toBe('UNAUTHENTICATED')
    expect(connection.store.session.refreshToken).toStartWith('mjr_')
    expect((await connection.me(connection.send)).email).toBe(email)
  })

  test('is the end of its requests: none is sent again for who logs in next', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection } = at
    expire(connection)
    const caught = link.catch('Everywhere')
    const asked = failureOf(connection.send('mutation Everywhere { logoutAll { sessions } }'))
    const late = await caught
    await connection.logout(connection.send)
    await signupAsSomebody(connection)
    late.letGo()
    expect(connection.faultOf(await asked)?.['code']).toBe('UNAUTHENTICATED')
    expect(link.passed.filter((operation) => operation === 'Everywhere')).toHaveLength(1)
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  test('is the end of its waiting', async () => {
    await using own = await startServer({ mode: 'serve', env: HASTY })
    const connection = await connect(name, own)
    if (name === 'apollo') await import(join(connection.folder, 'apollo-waiting.js'))
    const { send, faultOf, changePassword } = connection
    await signupAs(connection)
    await failureOf(changePassword(send, 'wrong horse battery', NEW_PASSWORD))
    const change = () => changePassword(send, PASSWORD, NEW_PASSWORD)
    const asked = failureOf(name === 'apollo' ? change() : connection.patiently(change, faultOf))
    await own.logged('throttle.refused')
    await connection.logout(send)
    await signupAsSomebody(connection)
    expect(faultOf(await asked)?.['code']).toBe('RATE_LIMITED')
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  test('or the next one is not undone by the late answer to a login', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection, email } = at
    await connection.logout(connection.send)
    const caught = link.catch('Login')
    const asked = failureOf(connection.login(connection.send, email, PASSWORD))
    const late = await caught
    const next = await signupAsSomebody(connection)
    late.letGo()
    expect((await asked).message).toContain('meanwhile')
    expect((await connection.me(connection.send)).email).toBe(next)
    await own.stop()
    expect(eventsIn(own, 'session.ended')).toMatchObject([
      { reason: 'logout' },
      { reason: 'logout' },
    ])
  })
})

describe('a query under way when the user changes', () => {
  test.each(['apollo', 'urql'] as const)('does not answer the next user: %s', async (name) => {
    await using link = await startLink(server.url)
    const connection = await connect(name, link)
    const { send, me, logout, client, reconnect } = connection
    await signupAsSomebody(connection)
    const caught = link.catch('Me')
    const before = me(send).catch(() => undefined)
    const late = await caught
    await logout(send)
    await (name === 'apollo' ? client.clearStore() : reconnect())
    const email = await signupAsSomebody(connection)
    const after = me(send)
    late.letGo()
    expect((await after).email).toBe(email)
    await before
  })
})

describe.each(CLIENTS)('a password changed by %s', (name) => {
  const NEXT = 'staple battery horse correct'

  test('leaves the new session, and no other', async () => {
    const connection = await connect(name, server)
    const email = await signupAsSomebody(connection)
    const other = await connect(name, server)
    await other.login(other.send, email, PASSWORD)
    expire(connection)
    await connection.changePassword(connection.send, PASSWORD, NEXT)
    expect((await connection.me(connection.send)).email).toBe(email)
    expire(connection)
    expect((await connection.me(connection.send)).email).toBe(email)
    expire(other)
    await failureOf(other.me(other.send))
    expectNoTokens(other)
  })

  test('is the one to log in with when the answer is lost', async () => {
    await using link = await startLink(server.url)
    const connection = await connect(name, link)
    const { send, login, logout, changePassword } = connection
    const email = await signupAsSomebody(connection)
    const caught = link.catch('ChangePassword')
    const changed = failureOf(changePassword(send, PASSWORD, NEXT))
    ;(await caught).lose()
    expect(connection.faultOf(await changed)).toBeUndefined()
    await logout(send)
    expect((await login(send, email, NEXT)).__typename).toBe('LoggedIn')
  })

  test('goes with the user, by deleteMe', async () => {
    const connection = await connect(name, server)
    const { send, login, deleteMe, faultOf } = connection
    const email = await signupAsSomebody(connection)
    expire(connection)
    await deleteMe(send, PASSWORD)
    expectNoTokens(connection)
    const error = await failureOf(login(send, email, PASSWORD))
    expect(faultOf(error)?.['code']).toBe('INVALID_CREDENTIALS')
  })
})

describe.each(CLIENTS)('on a phone, %s', (name) => {
  test('goes on with the refresh token that was kept: one refresh for all requests', async () => {
    await using at = await signUpByLink(name)
    const { own, link, connection, email } = at
    const { send, me, begin, store } = connection
    await begin({ refreshToken: store.session.refreshToken })
    const caught = link.catch('Late')
    const last = send('query Late { me { email } }')
    const late = await caught
    expect((await Promise.all([me(send), send('{ me { email } }')]))[0].email).toBe(email)
    late.letGo()
    expect(await last).toMatchObject({ me: { email } })
    await own.stop()
    expect(refreshesIn(own)).toEqual(['rotated'])
  })

  test('is logged out when the refresh token that was kept no longer works', async () => {
    const connection = await connect(name, server)
    const { send, me, begin, faultOf } = connection
    await begin({ refreshToken: 'mjr_ended' })
    expect(faultOf(await failureOf(me(send)))?.['code']).toBe('UNAUTHENTICATED')
    expectNoTokens(connection)
  })

  test('does not refresh for a login, wrong or right, nor when nobody has logged in', async () => {
    await using at = await signUpByLink(name)
    const { link, connection, email } = at
    const { send, me, login, begin, faultOf, store } = connection
    const { refreshToken } = store.session
    await begin({ refreshToken })
    const wrong = await failureOf(login(send, email, 'wrong horse battery'))
    expect(faultOf(wrong)?.['code']).toBe('INVALID_CREDENTIALS')
    expect(store.session.refreshToken).toBe(refreshToken)
    expect((await login(send, email, PASSWORD)).__typename).toBe('LoggedIn')
    await begin({})
    expect(faultOf(await failureOf(me(send)))?.['code']).toBe('UNAUTHENTICATED')
    expect(link.passed).toEqual(['Signup', 'Login', 'Login', 'Me'])
  })
})

describe('on a phone, a refresh', () => {
  test('needs nothing that React Native lacks', async () => {
    using _ = asInReactNative()
    const connection = await connect('fetch', server)
    const email = await signupAsSomebody(connection)
    expire(connection)
    expect((await connection.me(connection.send)).email).toBe(email)
  })

  test('ends for whoever no longer waits, and without a reason it is an AbortError', async () => {
    await using at = await signUpByLink('fetch')
    const { link, connection } = at
    using _ = asInReactNative()
    const { authorized } = await import(join(connection.folder, 'refreshing.js'))
    expire(connection)
    const caught = link.catch('Refresh')
    const caller = new AbortController()
    const asked = failureOf(authorized(`${link.url}/graphql`, { ...ASK_ME, signal: caller.signal }))
    const refresh = await caught
    caller.abort()
    expect(await asked).toMatchObject({ name: 'AbortError' })
    refresh.letGo()
  })

  test('that gets no answer fails after ten seconds as without a server, and works later', async () => {
    await using at = await signUpByLink('fetch')
    const { link, connection, email } = at
    using _ = asInReactNative()
    expire(connection)
    expect(await failuresLate([{ link, connection }], () => {})).toEqual([expect.any(TypeError)])
    expect((await connection.me(connection.send)).email).toBe(email)
  })

  const ASK_ME = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{ "query": "{ me { id } }" }',
  }
})

describe("an access token that has expired, at a service of one's own", () => {
  test('is replaced when that answers 401; other answers come as they are, and at once', async () => {
    using service = serveOwn()
    const connection = await connect('fetch', server)
    const { authorized } = await import(join(connection.folder, 'refreshing.js'))
    await signupAsSomebody(connection)
    expire(connection)
    const answer: Response = await authorized(service.url.href)
    expect([answer.status, await answer.json()]).toEqual([200, null])
    for (const type of ['text/event-stream', 'application/x-ndjson'])
      expect((await authorized(`${service.url}${type}`)).status).toBe(200)
  }, 20_000)

  /** Lets in whom Munjigi's keys speak for, as the examples of docs/verify.md do. */
  function serveOwn() {
    const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', server.url))
    return Bun.serve({
      ...{ port: 0, hostname: '127.0.0.1', idleTimeout: 0 },
      async fetch({ url, headers }) {
        const token = headers.get('authorization')?.replace('Bearer ', '') ?? ''
        const known = await jwtVerify(token, keys).catch(() => null)
        if (!known) return new Response(null, { status: 401 })
        const type = new URL(url).pathname.slice(1)
        return type === '' ? Response.json(null) : endless(type)
      },
    })
  }

  /** A stream after whose begin nothing comes. */
  function endless(type: string): Response {
    const begin = new TextEncoder().encode(': begin\n\n')
    const body = new ReadableStream({ start: (stream) => stream.enqueue(begin) })
    return new Response(body, { headers: { 'content-type': type } })
  }
})

describe.skipIf(!hasChromium)('two tabs that share a session', () => {
  const KIM = { email: 'kim@example.com' }
  const TOKEN = 'store.session.refreshToken'

  test('never end it: neither at once, nor when one was idle, nor when one is slow', async () => {
    await using own = await startServer({ mode: 'dev', env: { MUNJIGI_REFRESH_GRACE: '2s' } })
    const modules = blocks(`${own.url}/graphql`)
    await using tabs = await openTabs(modules, ['tabs.js', 'munjigi.js', 'fetch.js'])
    const { first, second } = tabs
    await first(`signup(send, '${KIM.email}', '${PASSWORD}')`)

    for (let round = 0; round < 3; round += 1) {
      await expireIn(tabs)
      const asked = [first, second, first, second].map((tab) => tab('me(send)'))
      expect(await Promise.all(asked)).toMatchObject([KIM, KIM, KIM, KIM])
    }
    for (const tab of [first, first, second]) {
      await expireIn(tabs)
      expect(await tab('me(send)')).toMatchObject(KIM)
    }
    await expireIn(tabs)
    await second(SLOW_REFRESH)
    const slow = second('me(send)')
    await until('the second tab refreshes', () => second('globalThis.refreshing === true'))
    expect(await first('me(send)')).toMatchObject(KIM)
    expect(await slow).toMatchObject(KIM)

    await first('logout(send)')
    await until('the second tab is logged out', async () => !(await second(TOKEN)))
    await own.stop()
    expect(refreshesIn(own).filter((kind) => kind === 'rotated')).toHaveLength(7)
    expect(eventsIn(own, 'session.ended')).toMatchObject([{ reason: 'logout' }])
  })

  /** Longer than the grace, which is there for the moment that localStorage takes from tab to tab. */
  const SLOW_REFRESH = `(() => {
    const { fetch } = globalThis
    globalThis.fetch = async (input, init) => {
      globalThis.refreshing = init.body.includes('mutation Refresh')
      if (globalThis.refreshing) await new Promise((resolve) => setTimeout(resolve, 4_000))
      return await fetch(input, init)
    }
  })()`

  async function expireIn({ first, second }: Tabs): Promise<void> {
    const token = await first(TOKEN)
    await first(`store.session = { ...store.session, accessToken: 'expired' }`)
    await until(
      'the second tab sees it',
      async () =>
        second(
          `store.session.accessToken === 'expired' && ${TOKEN} === '${token}'`,
        ) as Promise<boolean>,
    )
  }
})

describe('a program that acts for several people', () => {
  /** As visitors.js has it. */
  type As = <T>(visitor: object, work: () => Promise<T>) => Promise<T>

  test('has a session for each, though they log in, and refresh, at once', async () => {
    const connection = await connect('fetch', server)
    const { send, signup, me, logout, store } = connection
    const as = await importAs(connection)
    const visitors = [{ name: 'kim' }, { name: 'lee' }]
    const forAll = <T>(work: (email: string) => Promise<T>) =>
      Promise.all(visitors.map((visitor) => as(visitor, () => work(`${visitor.name}@example.org`))))
    const whoTheyAre = () =>
      forAll(async () => (await Promise.all([me(send), me(send)])).map(({ email }) => email))
    const each = [Array(2).fill('kim@example.org'), Array(2).fill('lee@example.org')]

    await forAll((email) => signup(send, email, PASSWORD))
    expect(await whoTheyAre()).toEqual(each)
    await forAll(async () => expire({ store }))
    expect(await whoTheyAre()).toEqual(each)
    await as(visitors[0] ?? {}, () => logout(send))
    const [kim, lee] = await forAll(async () => ({ ...store.session }))
    expect([kim?.refreshToken, lee?.refreshToken]).toEqual([
      undefined,
      expect.stringMatching(/^mjr_/),
    ])
  })

  test('has no session outside of a visit', async () => {
    const connection = await connect('fetch', server)
    const as = await importAs(connection)
    await as({}, () => signupAsSomebody(connection))
    await expect(connection.me(connection.send)).rejects.toThrow(TypeError)
  })

  async function importAs({ folder: own }: Connection): Promise<As> {
    return (await import(join(own, 'visitors.js'))).as
  }
})

describe('docs/clients.md', () => {
  test('has every code with its status', () => {
    const rows = [...PAGE.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \|/gm)]
    const codes = Object.entries(ERRORS).map(([code, { status }]) => [code, status])
    expect(new Map(rows.map(([, code, status]) => [code, Number(status)]))).toEqual(
      new Map(codes as Array<[string, number]>),
    )
  })

  test('asks the address that the server has: to Node 18 localhost may be another, ::1', () => {
    const blocks = [...PAGE.matchAll(/```(?:js|sh) .*\n([\s\S]*?)```/g)].map(
      ([, block = '']) => block,
    )
    expect(blocks.filter((block) => block.includes('//localhost'))).toEqual([])
  })

  test('has the limits of an operation, and the fields of which a request may hold one', () => {
    const row = /^\| `QUERY_TOO_COMPLEX` .*$/m.exec(PAGE)?.[0]
    const { tokens, depth, aliases } = LIMITS
    const most = `\`tokens\`, at most ${tokens.toLocaleString('en')}; \`depth\`, ${depth}; \`aliases\`, ${aliases})`
    expect(row).toContain(most)
    // The fields depend on no service: no resolver is called.
    const schema = createSchema({} as Services)
    const mutations = schema.getMutationType()?.getFields() ?? {}
    const checking = Object.values(mutations).filter(
      ({ extensions }) => extensions['checksCredentials'],
    )
    const told = /only one of (.*) into a request/.exec(row ?? '')?.[1]
    expect(told?.split(', ').sort()).toEqual(checking.map(({ name }) => `\`${name}\``).sort())
  })

  test('has code that TypeScript accepts, and that a program in TypeScript can use', () => {
    const project = mkdtempSync(join(folder, 'typed-'))
    for (const [file, text] of blocks(ADDRESS))
      if (file.endsWith('.js')) writeFileSync(join(project, file), text)
    writeFileSync(join(project, 'program.ts'), TYPED_PROGRAM)
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: TYPED }))
    const tsc = fileURLToPath(new URL('node_modules/.bin/tsc', ROOT))
    const { stdout, exitCode } = Bun.spawnSync([process.execPath, tsc, '-p', project])
    expect([stdout.toString(), exitCode]).toEqual(['', 0])
  })

  /** As the page says, beside what the places that the blocks are made for have. */
  const TYPED = {
    ...{ allowJs: true, checkJs: true, strict: true, noImplicitAny: false },
    ...{ noEmit: true, skipLibCheck: true, target: 'ESNext', module: 'Preserve' },
    ...{ lib: ['ESNext', 'DOM', 'DOM.Iterable'], types: ['node'] },
  }

  const TYPED_PROGRAM = `
    import { faultOf, send } from './fetch.js'
    import { begin, login, me, store } from './munjigi.js'
    import { authorized } from './refreshing.js'
    import { as } from './visitors.js'
    import { patiently } from './waiting.js'

    store.session = { login: Math.random(), accessToken: 'a' }
    store.session = { login: Math.random(), refreshToken: 'r' }
    await begin({ refreshToken: 'r' })
    await patiently(() => login(send, 'kim@example.com', 'p'), faultOf)
    const name: string = await as({}, async () => (await me(send)).email)
    const answer: Response = await authorized('/', { method: 'POST', signal: new AbortController().signal })
    console.log(name, answer.status)
  `

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

  test.skipIf(!requires('Node and curl', Bun.which('node') !== null && Bun.which('curl') !== null))(
    'has commands that start a server for tests, on which more users can sign up than elsewhere',
    async () => {
      const port = freePort()
      const start = (blocks(ADDRESS).get('tests') ?? '')
        .replace('munjigi/bin', join(fileURLToPath(ROOT), 'bin'))
        .replace('127.0.0.1:3000', `127.0.0.1:${port}`)
      const query = `mutation { signup(email: "'$n'@example.com", password: "${PASSWORD}") { user { id } } }`
      const script = `${start}
        trap 'kill $!; wait $!' EXIT
        for n in {1..21}; do
          curl -sS 127.0.0.1:${port}/graphql -H 'content-type: application/json' -d '${JSON.stringify({ query })}'
        done`
      const shell = Bun.spawnSync(['bash', '-eu', '-c', script], {
        env: { ...process.env, MUNJIGI_PORT: `${port}`, MUNJIGI_METRICS_PORT: '0' },
      })
      expect(shell.stdout.toString().match(/"id":"usr_/g)).toHaveLength(21)
    },
  )

  test('is right about who takes a document', async () => {
    const [apollo, urql, request] = await Promise.all([
      connect('apollo', server),
      connect('urql', server),
      connect('graphql-request', server),
    ])
    const mutation = parse(apollo.LOGIN)
    const variables = { email: NOBODY, password: PASSWORD }
    const errors = [
      await failureOf(apollo.client.mutate({ mutation, variables })),
      (await urql.client.mutation(mutation, variables)).error,
      await failureOf(request.client.request(mutation, variables)),
    ]
    expect(errors.map((error) => errorsOf(error as ClientFailure)[0]?.extensions['code'])).toEqual(
      Array(3).fill('INVALID_CREDENTIALS'),
    )
  })

  test('is right that mutations of urql go by POST whatever its default is', async () => {
    const client = new UrqlClient({ url: `${server.url}/graphql`, exchanges: [fetchExchange] })
    const { LOGIN } = await connect('urql', server)
    const { error } = await client.mutation(LOGIN, { email: NOBODY, password: PASSWORD })
    expect(error?.graphQLErrors[0]?.extensions['code']).toBe('INVALID_CREDENTIALS')
  })

  test('is right that a hash in the place of the text is refused for good', async () => {
    const sha256 = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest('hex')
    const hashed = new PersistedQueryLink({ sha256 })
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: hashed.concat(new HttpLink({ uri: `${server.url}/graphql` })),
    })
    const error = await failureOf(client.query({ query: gql`query Me { me { id } }` }))
    expect(errorsOf(error)[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'query' })
  })

  test('is right that the error text of graphql-request contains the password', async () => {
    const { login, send } = await connect('graphql-request', server)
    const error = await failureOf(login(send, NOBODY, PASSWORD))
    expect(error.message).toContain(PASSWORD)
  })
})

/** What became of each refresh: `rotated`, or `repeated` when the answer before was lost. */
function refreshesIn(own: Server): string[] {
  const events = eventsIn(own, 'session.refreshed')
  return events.map(({ repeated }) => (repeated ? 'repeated' : 'rotated'))
}

function eventsIn({ lines }: Server, event: string): Array<Readonly<Record<string, unknown>>> {
  const entries = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  return entries.filter((entry) => entry.event === event)
}

/** To the server an access token that has expired, and one that never was, are the same. */
function expire({ store: { session } }: Pick<Connection, 'store'>): void {
  session.accessToken = `${session.accessToken}x`
}

function expectNoTokens({ store: { session } }: Connection): void {
  expect([session.accessToken, session.refreshToken]).toEqual([undefined, undefined])
}

/** Takes away what React Native does not have, until disposed of. */
function asInReactNative(): Disposable {
  const lacking = [
    [AbortSignal, 'timeout'],
    [AbortSignal.prototype, 'reason'],
    [globalThis, 'DOMException'],
  ] as const
  const taken = lacking.map(([from, name]) => {
    const had = Object.getOwnPropertyDescriptor(from, name)
    Reflect.deleteProperty(from, name)
    return () => Object.defineProperty(from, name, had ?? {})
  })
  return {
    [Symbol.dispose]: () => {
      for (const giveBack of taken) giveBack()
    },
  }
}

/** How `me` of each fails when the first answers to their refreshes come, or get lost, after all patience. */
async function failuresLate(
  waiting: ReadonlyArray<{ readonly connection: Connection; readonly link: Link }>,
  decide: (caught: Caught) => void,
): Promise<ClientFailure[]> {
  const refreshes = await Promise.all(
    waiting.map(async ({ connection: { me, send }, link }) => {
      const caught = link.catch('Refresh')
      const asked = failureOf(me(send))
      return { caught: await caught, asked: { failure: asked } }
    }),
  )
  // The clock of this process; the server's goes on as it is.
  setSystemTime(new Date(Date.now() + 25_000))
  try {
    for (const { caught } of refreshes) decide(caught)
    return await Promise.all(refreshes.map(({ asked }) => asked.failure))
  } finally {
    setSystemTime()
  }
}

function connectAll(to: { readonly url: string }): Promise<Connection[]> {
  return Promise.all(CLIENTS.map((name) => connect(name, to)))
}

/** Modules of its own for every connection: their token and their client are theirs alone. */
async function connect(name: ClientName, { url }: { readonly url: string }): Promise<Connection> {
  const own = mkdtempSync(join(folder, `${name}-`))
  for (const [file, text] of blocks(`${url}/graphql`)) writeFileSync(join(own, file), text)
  const modules = ['munjigi.js', 'waiting.js', `${name}.js`].map((file) => import(join(own, file)))
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

/** Somebody new, on the server that all share. Returns the e-mail address. */
async function signupAsSomebody({ signup, send }: Connection): Promise<string> {
  const email = `${crypto.randomUUID()}@example.com`
  await signup(send, email, PASSWORD)
  return email
}

/** A client that has signed up on a server of its own, by a link that can hold or lose its answers. */
async function signUpByLink(name: ClientName) {
  const own = await startServer({ mode: 'serve' })
  const link = await startLink(own.url)
  const connection = await connect(name, link)
  const { email } = (await signupAs(connection)).user
  return {
    ...{ own, link, connection, email },
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]()
      await own.stop()
    },
  }
}

/** A server whose database can be written by somebody else from `hold`, which may be the start, until `release`. */
async function startStuckServer({ stuck } = { stuck: true }) {
  const file = join(mkdtempSync(join(folder, 'stuck-')), 'munjigi.db')
  const started = await startServer({ mode: 'serve', database: `file:${file}` })
  const database = new Database(file)
  // The server itself writes once a second.
  database.run('PRAGMA busy_timeout = 5000')
  const hold = () => database.run('BEGIN IMMEDIATE')
  if (stuck) hold()
  return {
    server: started,
    hold,
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
