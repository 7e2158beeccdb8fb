// The one place where the parts meet: dependencies in, `fetch` out. Nothing here listens, reads the environment or
// knows the process.

import { availableParallelism } from 'node:os'
import type { Config } from './config.ts'
import type { Services } from './flows/services.ts'
import { createGraphQLServer } from './graphql/yoga.ts'
import { createGraphiql } from './http/graphiql.ts'
import { pathOf } from './http/path.ts'
import { createRoutes } from './http/routes.ts'
import type { KeyRing } from './keys/keys.ts'
import { openKeyRing, sealingKeysOf } from './keys/keys.ts'
import type { Report } from './observability/events.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import type { HashingCost } from './passwords/hasher.ts'
import { createBunHasher } from './passwords/hasher.ts'
import { createPasswords } from './passwords/passwords.ts'
import type { Clock } from './platform/clock.ts'
import { deriveKey, shortDigest } from './platform/digest.ts'
import { createLoop } from './platform/loop.ts'
import type { Random } from './platform/random.ts'
import { createSchema } from './schema.ts'
import type { EndedSessions } from './sessions/ended.ts'
import { createEndedSessions } from './sessions/ended.ts'
import { createRefreshTokens } from './sessions/refresh-token.ts'
import { createSessions } from './sessions/sessions.ts'
import type { Database } from './storage/database.ts'
import { createHeartbeat } from './storage/heartbeat.ts'
import { createAccessTokens } from './tokens/access-token.ts'
import { LEEWAY } from './tokens/claims.ts'
import { createUsers } from './users/users.ts'

/** Everything that is not pure, made by `main.ts` for real and by `testing/app.ts` for tests. */
export interface Dependencies {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly database: Database
  readonly log: Log
  readonly metrics: Metrics
  readonly report: Report
  readonly hashingCost: HashingCost
}

/** A service that answers requests but does not listen. */
export interface App {
  /** Answers a request that came from the socket address `peer`. */
  fetch(request: Request, peer: string): Promise<Response>
  /** Answers on the metrics port. */
  metricsFetch(request: Request): Promise<Response>
  /** Begins the background work: from now on `/readyz` can say yes. */
  start(): Promise<void>
  /** Says in every answer, and in `/readyz`, that this replica is going away. */
  drain(): void
  /** Deletes what nobody needs any more; part of the background work. */
  sweep(): Promise<void>
  /** Ends the background work. */
  stop(): void
  /** True if this start made the signing key. */
  readonly madeSigningKey: boolean
}

/** Hashes at once and in line: one takes some 50 ms, so the last in line waits for about a second. */
const CORES = availableParallelism()
const HASHING = { running: CORES, waiting: 16 * CORES, patience: 2_000 }
/** How often rows that nobody needs any more are deleted. */
const SWEEP_MS = 60_000

/** The services, with the key ring and the list of ended sessions: all of the app that needs no HTTP. */
export interface Core extends Services {
  readonly keys: KeyRing
  readonly ended: EndedSessions
}

/** Makes the services. Throws `WrongSecret`, and `SERVICE_UNAVAILABLE` when the database cannot be reached. */
export async function createCore(dependencies: Dependencies): Promise<Core> {
  const { config, clock, random, database, metrics, report, hashingCost } = dependencies
  const secrets: [string, ...string[]] = [
    config.secret,
    ...(config.secretPrevious ? [config.secretPrevious] : []),
  ]
  const keys = await openKeyRing({
    database,
    clock,
    report,
    sealingKeys: sealingKeysOf(secrets),
    algorithm: config.signingAlgorithm,
    jwksMaxAge: config.jwksMaxAge,
    tokenLifetime: config.accessTokenTtl + LEEWAY,
    rotation: config.keyRotation,
  })
  metrics.declareKeyAge(() => (clock.now() - keys.current().createdAt) / 1_000)
  const tokens = createAccessTokens({
    keys,
    clock,
    random,
    issuer: config.issuerUrl,
    audience: config.tokenAudience,
    ttl: config.accessTokenTtl,
  })
  const hasher = createBunHasher(hashingCost, random)
  const passwords = createPasswords({
    hasher,
    limits: HASHING,
    clock,
    metrics,
    report,
  })
  const users = createUsers({ database, passwords, clock, random })

  const logKey = deriveKey(config.secret, 'log digest v1')
  const emailDigest = (emailKey: string) => shortDigest(logKey, emailKey)
  const ended = createEndedSessions({
    database,
    clock,
    random,
    metrics,
    lifetime: config.accessTokenTtl + 60,
  })
  const sessions = createSessions({
    database,
    tokens: createRefreshTokens(secrets, random),
    ended,
    clock,
    random,
    metrics,
    report,
    idleTtl: config.sessionIdleTtl,
    maxTtl: config.sessionMaxTtl,
    grace: config.refreshGrace,
    maxSessions: config.maxSessions,
  })
  return {
    config,
    clock,
    database,
    users,
    passwords,
    sessions,
    tokens,
    metrics,
    report,
    emailDigest,
    keys,
    ended,
  }
}

/** Wires the parts. Throws what `createCore` throws. `createServer`: for a test that serves GraphQL another way. */
export async function createApp(
  dependencies: Dependencies,
  createServer = createGraphQLServer,
): Promise<App> {
  const { config, clock, random, database, log, metrics } = dependencies
  const core = await createCore(dependencies)
  const { keys, tokens, sessions, ended } = core
  const schema = createSchema(core)
  const graphql = createServer({
    schema,
    language: config.messageLanguage,
    introspection: config.introspection,
    clock,
    log,
    metrics,
  })

  const heartbeat = createHeartbeat(database, clock, random)
  const sweeping = createLoop(SWEEP_MS, random, sessions.sweep)
  const tending = createLoop(keys.interval, random, keys.tend)
  let draining = false
  const failing = () => [
    ...(draining ? ['draining'] : []),
    ...(heartbeat.alive() ? [] : ['database']),
    ...(ended.current() ? [] : ['ended_sessions']),
  ]
  const graphiql = config.graphiql
    ? createGraphiql({ language: config.messageLanguage })
    : undefined
  const routes = createRoutes({
    config,
    clock,
    random,
    log,
    metrics,
    keys,
    tokens,
    ended,
    graphql,
    health: { failing },
    draining: () => draining,
    graphiql,
  })

  return {
    fetch: async (request, peer) => await routes.fetch(request, { peer }),
    async metricsFetch(request) {
      if (pathOf(request) !== '/metrics') return new Response('Not found\n', { status: 404 })
      return new Response(await metrics.print(), {
        headers: { 'content-type': metrics.contentType },
      })
    },
    async start() {
      await Promise.all([heartbeat.beat(), ended.follow()])
      heartbeat.start()
      ended.start()
      sweeping.start()
      tending.start()
    },
    drain() {
      draining = true
    },
    sweep: sessions.sweep,
    stop() {
      heartbeat.stop()
      ended.stop()
      sweeping.stop()
      tending.stop()
    },
    madeSigningKey: keys.isNew,
  }
}
