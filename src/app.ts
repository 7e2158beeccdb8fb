// The one place where the parts meet: dependencies in, `fetch` out. Nothing here listens, reads the environment or
// knows the process.

import { availableParallelism } from 'node:os'
import type { Config } from './config.ts'
import type { Services } from './flows/services.ts'
import { createGraphiql } from './graphql/graphiql.ts'
import { createGraphQLServer } from './graphql/yoga.ts'
import { pathOf } from './http/path.ts'
import { createRoutes } from './http/routes.ts'
import { openKeyRing } from './keys/keys.ts'
import type { Report } from './observability/events.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import type { HashingCost } from './passwords/hasher.ts'
import { createBunHasher } from './passwords/hasher.ts'
import { createPasswords } from './passwords/passwords.ts'
import type { Clock } from './platform/clock.ts'
import { deriveKey, shortDigest } from './platform/digest.ts'
import type { Random } from './platform/random.ts'
import { createSchema } from './schema.ts'
import type { Database } from './storage/database.ts'
import { createHeartbeat } from './storage/heartbeat.ts'
import { createAccessTokens } from './tokens/access-token.ts'
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
  /** Ends the background work. */
  stop(): void
  /** True if this start made the signing key. */
  readonly madeSigningKey: boolean
}

/** Hashes at once and in line: one takes some 50 ms, so the last in line waits for about a second. */
const CORES = availableParallelism()
const HASHING = { running: CORES, waiting: 16 * CORES, patience: 2_000 }

/** Wires the parts. Throws `WrongSecret`, and `SERVICE_UNAVAILABLE` when the database cannot be reached. */
export async function createApp(dependencies: Dependencies): Promise<App> {
  const { config, clock, random, database, log, metrics, report, hashingCost } = dependencies

  const sealingKey = deriveKey(config.secret, 'signing key sealing v1')
  const keys = await openKeyRing({
    database,
    clock,
    sealingKey,
    algorithm: config.signingAlgorithm,
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
  const services: Services = { config, users, tokens, random, metrics, report, emailDigest }
  const schema = createSchema(services)
  const graphql = createGraphQLServer({
    schema,
    language: config.messageLanguage,
    introspection: config.introspection,
    clock,
    log,
    metrics,
  })

  const heartbeat = createHeartbeat(database, clock)
  let draining = false
  const failing = () => [
    ...(draining ? ['draining'] : []),
    ...(heartbeat.alive() ? [] : ['database']),
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
      await heartbeat.beat()
      heartbeat.start()
    },
    drain() {
      draining = true
    },
    stop: () => heartbeat.stop(),
    madeSigningKey: keys.isNew,
  }
}
