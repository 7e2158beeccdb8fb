// A whole app for one test: a fresh database, a still clock, counting identifiers, a cheap hash of the same kind.

import type { App } from '../app.ts'
import { createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { readSettings } from '../config.ts'
import type { createGraphQLServer } from '../graphql/yoga.ts'
import type { SecurityEvent } from '../observability/events.ts'
import { createReport } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createMetrics } from '../observability/metrics.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'
import { openDatabase } from '../storage/database.ts'
import type { TestClock } from './clock.ts'
import { createTestClock } from './clock.ts'
import { testDatabases } from './database.ts'
import { createTestLog } from './log.ts'
import { createTestRandom } from './random.ts'

/** 8 KiB and one pass: about a millisecond, by the same code. */
export const CHEAP_HASH = { memoryKib: 8, passes: 1 } as const

/** The app, and everything of it that a test may look at or move. */
export interface TestApp extends App, TestClient {
  readonly config: Config
  readonly clock: TestClock
  readonly random: Random
  readonly database: Database
  readonly metrics: Metrics
  /** What the log has written. */
  readonly logLines: readonly string[]
  /** What was reported. */
  readonly events: readonly SecurityEvent[]
  /** The same app, as it looks from another address. */
  from(address: string): TestClient
}

/** A client with an address of its own. */
export interface TestClient {
  /** Sends a request with a body of JSON. */
  post(body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>
  /** Executes an operation and returns its parsed answer. */
  run(query: string, variables?: Record<string, unknown>, token?: string): Promise<Answer>
}

/** A parsed GraphQL answer, and the response it came in. */
export interface Answer {
  // Tests look into answers of every shape.
  // biome-ignore lint/suspicious/noExplicitAny: a test names the path it expects
  readonly data: any
  readonly errors:
    | ReadonlyArray<{ message: string; extensions: Record<string, unknown> }>
    | undefined
  /** The code of the first error. */
  readonly code: unknown
  readonly response: Response
}

/** The defaults of `serve`, but for what a test wants to see or must not wait for. */
export const TEST_CONFIG: Config = Object.freeze({
  ...readSettings('serve', {
    environment: {
      MUNJIGI_SECRET: 'a secret of more than thirty-two bytes for tests',
      MUNJIGI_ISSUER_URL: 'https://auth.example.com',
    },
    readFile: () => '',
    onTerminal: false,
  }),
  port: 0,
  metricsPort: 0,
  databaseUrl: ':memory:',
  keyRotation: 0,
  introspection: true,
  logLevel: 'debug',
  drainSeconds: 0,
})

/** What a test may put in another's place: settings, or a part shared with another app. */
export interface TestAppOptions {
  readonly config?: Partial<Config>
  readonly database?: Database
  readonly clock?: TestClock
  readonly createServer?: typeof createGraphQLServer
}

/** Makes an app. Its background work is not started; `stop` it when it was. */
export async function createTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const config: Config = Object.freeze({ ...TEST_CONFIG, ...options.config })
  const clock = options.clock ?? createTestClock()
  // A second app on the same database must not use the ids of the first.
  const random = createTestRandom(options.database ? 1_001 : 1)
  const { log, lines } = createTestLog()
  const metrics = createMetrics('test')
  const database =
    options.database ??
    (await openDatabase({
      url: options.config?.databaseUrl ?? (await testDatabases.fresh()),
      clock,
      random,
      log,
      metrics,
    }))
  const events: SecurityEvent[] = []
  const tell = createReport(log, metrics)
  const report = (event: SecurityEvent) => {
    events.push(event)
    tell(event)
  }
  const app = await createApp(
    { config, clock, random, database, log, metrics, report, hashingCost: CHEAP_HASH },
    options.createServer,
  )

  return {
    ...app,
    config,
    clock,
    random,
    database,
    metrics,
    logLines: lines,
    events,
    ...createTestClient(app, '192.0.2.1'),
    from: (address) => createTestClient(app, address),
  }
}

function createTestClient(app: App, address: string): TestClient {
  const post: TestClient['post'] = (body, headers = {}, signal) =>
    app.fetch(
      new Request('http://munjigi.test/graphql', {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
        ...(signal ? { signal } : {}),
      }),
      address,
    )

  return {
    post,
    async run(query, variables, token) {
      const response = await post(
        { query, variables },
        token === undefined ? {} : { authorization: `Bearer ${token}` },
      )
      const { data, errors } = (await response.json()) as Pick<Answer, 'data' | 'errors'>
      return { data, errors, code: errors?.[0]?.extensions['code'], response }
    },
  }
}

export const SIGNUP =
  'mutation Signup($email: String!, $password: String!) { signup(email: $email, password: $password) { user { id email createdAt } tokens { accessToken expiresIn refreshToken refreshExpiresIn } } }'
export const LOGIN =
  'mutation Login($email: String!, $password: String!) { login(email: $email, password: $password) { __typename ... on LoggedIn { user { id email } tokens { accessToken expiresIn refreshToken refreshExpiresIn } } ... on AlreadyLoggedIn { email message } } }'
export const ME = '{ me { id email } }'

/** Somebody who signs up. */
export const KIM = { email: 'kim@example.com', password: 'correct horse battery staple' } as const
