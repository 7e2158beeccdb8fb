// The short lane and Yoga, held against each other: the same requests to two apps that differ in nothing else, each request
// twice, so that the lane knows its text. Status, every header, body, log and metrics must be the same.

import { describe, expect, test } from 'bun:test'
import { normalizedExecutor } from '@graphql-tools/executor'
import { buildSchema, parse } from 'graphql'
import { createYoga } from 'graphql-yoga'
import type { Database } from '../storage/database.ts'
import type { TestApp, TestAppOptions } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, ME, SIGNUP } from '../testing/app.ts'
import type { Operation } from './context.ts'
import type { AcceptedTexts } from './documents.ts'
import { createAcceptedTexts } from './documents.ts'
import type { GraphQLServer, GraphQLServerOptions } from './yoga.ts'
import { createGraphQLServer } from './yoga.ts'

const REPEATS = 2
const RESPONSE_JSON = 'application/graphql-response+json'
const ACCEPTED = {
  apollo: `${RESPONSE_JSON},application/json;q=0.9`,
  urql: `${RESPONSE_JSON}, application/graphql+json, application/json, text/event-stream, multipart/mixed`,
}

/** A request to both. `session`: the tokens of the user who signed up there. */
interface Case {
  readonly name: string
  readonly request: (session: { accessToken: string; refreshToken: string }) => RequestInit
}

const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})
const of = (name: string, body: unknown, headers?: Record<string, string>): Case => ({
  name,
  request: () => post(body, headers),
})
const asKim = (name: string, body: object, headers?: Record<string, string>): Case => ({
  name,
  request: ({ accessToken }) => post(body, { ...headers, authorization: `Bearer ${accessToken}` }),
})
const repeat = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ')

const TWO = 'query A { me { id } } query B { me { email } } mutation C { logout { sessions } }'
const WITH_VARIABLE = 'query Q($with: Boolean!) { __typename me @include(if: $with) { id } }'
const TWO_LOGINS =
  'mutation T($e: String!, $p: String!) { a: login(email: $e, password: $p) { __typename } b: login(email: $e, password: $p) { __typename } }'
const WRONG = { ...KIM, password: 'wrong horse battery staple' }

/** In an order that both apps go through: what an operation changes, the next one sees. */
const CASES: readonly Case[] = [
  ...[undefined, '*/*', 'application/json', RESPONSE_JSON, ACCEPTED.apollo, ACCEPTED.urql].flatMap(
    (accept) => {
      const headers: Record<string, string> = accept === undefined ? {} : { accept }
      return [
        asKim(`me, accepting ${accept}`, { query: ME }, headers),
        of(`me without a token, accepting ${accept}`, { query: ME }, headers),
        of(
          `a wrong variable, accepting ${accept}`,
          { query: LOGIN, variables: { email: 1 } },
          headers,
        ),
        of(`an invalid text, accepting ${accept}`, { query: '{ me { nope } }' }, headers),
      ]
    },
  ),
  of('me, accepting HTML', { query: ME }, { accept: 'text/html' }),
  of(
    'me, weights the other way',
    { query: ME },
    { accept: `application/json, ${RESPONSE_JSON};q=0.5` },
  ),
  of('a token of garbage', { query: ME }, { authorization: 'Bearer garbage' }),
  of('another scheme', { query: ME }, { authorization: 'Basic a2ltOmtpbQ==' }),

  ...['A', 'B', 'D', '', null, undefined].map((operationName) =>
    asKim(
      `two queries, ${operationName}`,
      { query: TWO, operationName },
      { accept: RESPONSE_JSON },
    ),
  ),
  asKim('one operation, another name', { query: 'query A { me { id } }', operationName: 'B' }),
  asKim('no operation', { query: 'fragment F on User { id }' }),
  ...[{ with: true }, { with: false }, { with: null }, { with: 'yes' }, {}, null, undefined].map(
    (variables) =>
      asKim(
        `variables ${JSON.stringify(variables)}`,
        { query: WITH_VARIABLE, variables },
        { accept: RESPONSE_JSON },
      ),
  ),
  asKim('more variables than needed', { query: WITH_VARIABLE, variables: { with: true, x: 1 } }),
  of('a deep list', { query: LOGIN, variables: { email: 'a', password: [[[[1]]]] } }),
  of(
    'keys of JavaScript',
    '{"query":"{ __typename }","variables":{"__proto__":{"a":1},"constructor":1}}',
  ),
  of('extensions', { query: ME, extensions: { persistedQuery: { version: 1 } } }),

  asKim('fragments and aliases', {
    query: '{ a: me { ...F } b: me { ... on User { email } } } fragment F on User { id }',
  }),
  asKim('a field that needs the database', { query: '{ me { id createdAt } }' }),
  asKim('lists', { query: '{ sessions { id current client clientAddress createdAt } }' }),
  of('introspection', { query: '{ __schema { queryType { name } } }' }),
  of('nothing but a type name', { query: '{ __typename }' }),

  of('login', { query: LOGIN, variables: KIM }),
  asKim('login when logged in', { query: LOGIN, variables: WRONG }),
  of('login with a wrong password', { query: LOGIN, variables: WRONG }, { accept: RESPONSE_JSON }),
  of('login with literals', {
    query: 'mutation { login(email: "a@b.kr", password: "12345678") { __typename } }',
  }),
  of('signup of a taken address', { query: SIGNUP, variables: KIM }),
  of('signup with a weak password', { query: SIGNUP, variables: { ...KIM, password: 'x' } }),
  {
    name: 'refresh',
    request: ({ refreshToken: token }) =>
      post({
        query:
          'mutation R($token: String!) { refresh(refreshToken: $token) { accessToken refreshToken expiresIn } }',
        variables: { token },
      }),
  },
  of('refresh with garbage', {
    query: 'mutation R($token: String!) { refresh(refreshToken: $token) { expiresIn } }',
    variables: { token: 'mjr_x' },
  }),

  of('20,000 nested braces', { query: '{a'.repeat(20_000) }),
  of(
    'depth 9',
    { query: `{ ${'me { '.repeat(8)} id ${'} '.repeat(8)} }` },
    { accept: RESPONSE_JSON },
  ),
  of('16 aliases', { query: `{ ${repeat(16, (i) => `a${i}: __typename`)} }` }),
  of(
    'two logins',
    { query: TWO_LOGINS, variables: { e: KIM.email, p: KIM.password } },
    { accept: RESPONSE_JSON },
  ),
  of('two logins beside what is chosen', {
    query: `query A { __typename } ${TWO_LOGINS}`,
    operationName: 'A',
  }),
  of('a login in a fragment, twice', {
    query:
      'mutation M($e: String!, $p: String!) { ...A ...A } fragment A on Mutation { login(email: $e, password: $p) { __typename } }',
  }),
  of('fragments that contain each other', {
    query: '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
  }),
  of('a subscription', { query: 'subscription { me { id } }' }),
  of('fifty unknown fields', { query: `{ ${repeat(50, (i) => `f${i}`)} }` }),
  of('no syntax', { query: '{' }),
  of('an empty text', { query: '' }),
  of('a text that says the same with other spaces', { query: '{me{id email}}' }),
  of('a batch', [{ query: ME }, { query: ME }]),
  of('cut off', '{"query":"{ me'),
  of('a query that is a list', { query: [ME] }),
  { name: 'GET', request: () => ({ method: 'GET' }) },
  of('a form', 'query=x', { 'content-type': 'application/x-www-form-urlencoded' }),
  of('over 100 KiB', { query: ME, variables: { x: 'x'.repeat(102_400) } }),

  {
    name: 'broken off in the body',
    request: () => ({
      ...post(''),
      body: new ReadableStream({ pull: (c) => c.error(new Error('gone')) }),
    }),
  },
  {
    name: 'gone before it began',
    request: () => ({ ...post({ query: ME }), signal: AbortSignal.abort() }),
  },
  {
    name: 'gone while it works',
    request: () => {
      const client = new AbortController()
      queueMicrotask(() => client.abort())
      return { ...post({ query: LOGIN, variables: KIM }), signal: client.signal }
    },
  },
  asKim('logout', { query: 'mutation { logout { sessions } }' }),
  asKim('me after logout', { query: ME }),
]

const NOTHING: AcceptedTexts = { get: () => undefined, set: () => {} }
const yogaAlone = (options: GraphQLServerOptions) =>
  createGraphQLServer({ ...options, accepted: NOTHING })
const yoga = await run({ createServer: yogaAlone })

describe('the lane and Yoga', () => {
  test('give the same answers', async () => {
    const taken: string[] = []
    const lane = await run({
      createServer: laneThat((serve, operation) => {
        taken.push(operation.params.query)
        return serve(operation)
      }),
    })
    expect(lane.answers.length).toBeGreaterThanOrEqual(88)
    expect(taken.length).toBeGreaterThanOrEqual(88)
    for (const [i, answer] of yoga.answers.entries()) expect(lane.answers[i]).toEqual(answer)
    expect(lane.traces).toEqual(yoga.traces)
  }, 60_000)

  test('mask a fault of the engine itself alike', async () => {
    const faulty = (serve: typeof yogaAlone) => (options: GraphQLServerOptions) => {
      const observe = () => {
        throw new Error('hunter2')
      }
      return serve({ ...options, metrics: { ...options.metrics, operation: () => ({ observe }) } })
    }
    const apps = [faulty(createGraphQLServer), faulty(yogaAlone)].map((createServer) =>
      createTestApp({ createServer }),
    )
    const [lane, alone] = await Promise.all(
      apps.map(async (starting) => {
        const app = await starting
        const send = () => app.post({ query: '{ __typename }' }, { accept: RESPONSE_JSON })
        await send()
        const answer = await describeResponse(await send())
        return { answer, log: (await tracesOf(app)).lines }
      }),
    )
    expect(lane).toEqual(alone)
    expect(lane?.answer).toMatchObject({
      status: 500,
      body: expect.stringContaining('INTERNAL_SERVER_ERROR'),
    })
    expect(JSON.stringify(lane)).not.toContain('hunter2')
  })

  test('leave what went right when the database is away', async () => {
    const query = '{ __typename me { id createdAt } }'
    const [lane, alone] = await Promise.all(
      [createGraphQLServer, yogaAlone].map(async (createServer) => {
        const database: Database = { ...(await createTestApp()).database }
        const app = await createTestApp({ createServer, database })
        const { data } = await app.run(SIGNUP, KIM)
        const headers = {
          authorization: `Bearer ${data.signup.tokens.accessToken}`,
          accept: RESPONSE_JSON,
        }
        await app.post({ query }, headers)
        database.readStale = () => Promise.reject(new Error('hunter2'))
        return await describeResponse(await app.post({ query }, headers))
      }),
    )
    expect(lane).toEqual(alone)
    expect(lane?.body).toContain('INTERNAL_SERVER_ERROR')
    expect(lane?.body).not.toContain('hunter2')
  })
})

describe('a lane that is broken on purpose is noticed', () => {
  const other = (change: (response: Response) => Response) =>
    laneThat(async (serve, operation) => change(await serve(operation)))
  test.each<[string, typeof createGraphQLServer]>([
    ['executes another text', remembering((text) => parse(text === ME ? '{ __typename }' : text))],
    ['executes what nobody has judged', remembering((text) => parse(text))],
    [
      'loses the variables',
      laneThat((serve, { params: { variables: _, ...params }, ...rest }) =>
        serve({ ...rest, params }),
      ),
    ],
    [
      'loses the name of the operation',
      laneThat((serve, { params: { operationName: _, ...params }, ...rest }) =>
        serve({ ...rest, params }),
      ),
    ],
    [
      'forgets who calls',
      laneThat((serve, operation) => serve({ ...operation, viewer: () => null })),
    ],
    [
      'answers in another type',
      laneThat((serve, operation) =>
        serve({ ...operation, answerTo: { ...operation.answerTo, type: 'application/json' } }),
      ),
    ],
    ['answers 201', other(({ body, headers }) => new Response(body, { status: 201, headers }))],
    [
      'drops a header',
      other((response) => {
        response.headers.delete('www-authenticate')
        return response
      }),
    ],
    [
      'is slow to end: its operation is counted twice',
      (options) => {
        const operation: typeof options.metrics.operation = (...labels) => {
          const series = options.metrics.operation(...labels)
          const observe = (seconds: number) => {
            series.observe(seconds)
            series.observe(seconds)
          }
          return { observe }
        }
        return createGraphQLServer({ ...options, metrics: { ...options.metrics, operation } })
      },
    ],
  ])(
    'one that %s',
    async (_, createServer) => {
      const broken = await run({ createServer })
      const wrong = broken.answers.filter((answer, i) => !Bun.deepEquals(answer, yoga.answers[i]))
      expect(wrong.length + Number(!Bun.deepEquals(broken.traces, yoga.traces))).toBeGreaterThan(0)
    },
    60_000,
  )
})

test('the lane has the executor that Yoga has', async () => {
  const executors = new Set<unknown>()
  const yoga = createYoga<object>({
    schema: buildSchema('type Query { a: Int }'),
    plugins: [
      { onExecute: ({ executeFn }: { executeFn: unknown }) => void executors.add(executeFn) },
    ],
  })
  const ask = new Request('http://munjigi.test/graphql', post({ query: '{ a }' }))
  expect((await yoga.fetch(ask)).status).toBe(200)
  expect([...executors]).toEqual([normalizedExecutor])
})

describe('the lane does not remember', () => {
  test.each([
    ['texts with literals, which may be passwords', '{ me(x: "hunter2") { id } }'],
    ['long texts', `{ ${'a '.repeat(2_048)} }`],
  ])('%s', (_, text) => {
    const accepted = createAcceptedTexts()
    for (const each of [text, ME]) accepted.set(each, parse('{ a }'))
    expect([text, ME].filter((each) => accepted.get(each))).toEqual([ME])
  })
  test('more than 128 Ki of characters, however long each text is', () => {
    for (const length of [20, 4_000]) {
      const accepted = createAcceptedTexts()
      const texts = Array.from({ length: 20_000 }, (_, i) => `{ a${i} }`.padEnd(length))
      for (const text of texts) accepted.set(text, parse('{ a }'))
      const known = texts.filter((text) => accepted.get(text)).length * length
      expect(known).toBeLessThanOrEqual(131_072)
      expect(known).toBeGreaterThanOrEqual(65_536)
    }
  })
})

/** A server whose lane, and only that, does as `take` says. */
function laneThat(take: (serve: GraphQLServer, operation: Operation) => Promise<Response>) {
  return (options: GraphQLServerOptions): GraphQLServer => {
    const accepted = createAcceptedTexts()
    const serve = createGraphQLServer({ ...options, accepted })
    return (operation) =>
      accepted.get(operation.params.query) ? take(serve, operation) : serve(operation)
  }
}

/** A server whose lane believes that it knows this for each text. */
function remembering(document: (text: string) => ReturnType<typeof parse>) {
  return (options: GraphQLServerOptions) =>
    createGraphQLServer({
      ...options,
      accepted: {
        ...NOTHING,
        get(text) {
          try {
            return document(text)
          } catch {
            return undefined
          }
        },
      },
    })
}

/** Sends all cases to a new app and says what it answered, logged and counted. */
async function run(options: TestAppOptions) {
  const app = await createTestApp(options)
  const { data } = await app.run(SIGNUP, KIM)
  const answers: Array<{ name: string } & Awaited<ReturnType<typeof describeResponse>>> = []
  for (const { name, request } of CASES)
    for (let i = 0; i < REPEATS; i += 1) {
      const sent = new Request('http://munjigi.test/graphql', request(data.signup.tokens))
      answers.push({ name, ...(await describeResponse(await app.fetch(sent, '192.0.2.1'))) })
    }
  return { answers, traces: await tracesOf(app) }
}

/** Everything of an answer, but of tokens only their claims: the rest is chance. */
async function describeResponse(response: Response) {
  const body = (await response.text())
    .replace(/eyJ[\w-]+\.([\w-]+)\.[\w-]+/g, (_, claims) => atob(claims))
    .replace(/mjr_[\w.-]+/g, 'mjr_')
  return { status: response.status, headers: [...response.headers].sort(), body }
}

/** What operators see of it: log lines but for their time, events, our own series. */
async function tracesOf(app: TestApp) {
  const lines = app.logLines.map((line) => ({
    ...JSON.parse(line),
    time: undefined,
    at: undefined,
  }))
  const series = (await app.metrics.print())
    .split('\n')
    .filter((line) => /^(http_requests_total|munjigi_)/.test(line))
  return { lines, events: app.events, series }
}
