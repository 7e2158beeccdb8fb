// The one place where the parts meet: dependencies in, `fetch` out. Nothing here listens, reads the environment or
// knows the process.

import { availableParallelism } from 'node:os'
import type { Config } from './config.ts'
import { secretsOf } from './config.ts'
import type { Services } from './flows/services.ts'
import { createGraphQLServer } from './graphql/yoga.ts'
import { createGraphiql } from './http/graphiql.ts'
import { pathOf } from './http/path.ts'
import { createRoutes } from './http/routes.ts'
import type { KeyRing, KeyRingOptions } from './keys/keys.ts'
import { openKeyRing, sealingKeysOf } from './keys/keys.ts'
import type { Report } from './observability/events.ts'
import type { Log } from './observability/log.ts'
import { withLogContext } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { createThreadPoolProbe } from './observability/thread-pool.ts'
import { loadBlocklist } from './passwords/blocklist.ts'
import { createBreachCheck } from './passwords/breaches.ts'
import { wordsOfService } from './passwords/context.ts'
import type { Hasher, HashingCost } from './passwords/hasher.ts'
import { createBunHasher } from './passwords/hasher.ts'
import { loadNativeHasher } from './passwords/native-hasher.ts'
import { createPasswords } from './passwords/passwords.ts'
import type { PasswordPolicy } from './passwords/policy.ts'
import { createPasswordPolicy } from './passwords/policy.ts'
import type { Clock } from './platform/clock.ts'
import { deriveKey, shortDigest } from './platform/digest.ts'
import type { GateLimits } from './platform/gate.ts'
import type { Loop } from './platform/loop.ts'
import { createLoop } from './platform/loop.ts'
import type { Random } from './platform/random.ts'
import { createSchema } from './schema.ts'
import type { EndedSessions } from './sessions/ended.ts'
import { createEndedSessions } from './sessions/ended.ts'
import { createRefreshTokens } from './sessions/refresh-token.ts'
import { createSessions } from './sessions/sessions.ts'
import type { Database } from './storage/database.ts'
import type { Heartbeat } from './storage/heartbeat.ts'
import { createHeartbeat } from './storage/heartbeat.ts'
import { networkOf } from './throttle/address.ts'
import { createThrottle } from './throttle/throttle.ts'
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

/**
 * How many passwords may wait for each one that is being hashed, how long one may wait, and how long a wait may be expected
 * to be at the recent pace; beyond any of these they are refused. Times: milliseconds.
 */
const HASHING = { waitingEach: 32, patience: 2_000, foreseen: 500 }
/** What the other engine would offer, for the log. */
const OTHER_ENGINE = {
  bun: 'MUNJIGI_PASSWORD_ENGINE=native computes the same hashes for less than half of the CPU',
  native:
    'MUNJIGI_PASSWORD_ENGINE=bun computes the same hashes without a native package, for twice the CPU',
} as const
/** How often rows that nobody needs any more are deleted. */
const SWEEP_MS = 60_000

/** The services and the background work: everything in the app that needs no HTTP. */
export interface Core extends Services {
  readonly keys: KeyRing
  readonly ended: EndedSessions
  readonly heartbeat: Heartbeat
}

/** Makes the services. Throws `WrongSecret`, and `SERVICE_UNAVAILABLE` when the database cannot be reached. */
export async function createCore(dependencies: Dependencies): Promise<Core> {
  const { config, clock, random, database, metrics, report } = dependencies
  const keys = await openKeys(dependencies)
  metrics.declareKeyAge(() =>
    keys.ready() ? (clock.now() - keys.current().createdAt) / 1_000 : Number.NaN,
  )
  const tokens = createAccessTokens({
    keys,
    clock,
    random,
    issuer: config.issuerUrl,
    audience: config.tokenAudience,
    ttl: config.accessTokenTtl,
  })
  const passwords = createPasswords({
    hasher: await createHasher(dependencies),
    limits: gateLimits(config),
    clock,
    random,
    metrics,
    report,
  })
  const logKey = deriveKey(config.secret, 'log digest v1')
  const emailDigest = (emailKey: string) => shortDigest(logKey, emailKey)
  const throttle = createThrottle({
    database,
    config,
    key: deriveKey(config.secret, 'throttle v1'),
    emailDigest,
    clock,
    metrics,
    report,
  })
  const users = createUsers({ database, passwords, throttle, clock, random })

  const ended = createEndedSessions({
    database,
    clock,
    random,
    metrics,
    // A minute longer than a token lives: an ended session must not come back where clocks differ more than they may.
    lifetime: config.accessTokenTtl + 60,
  })
  const heartbeat = createHeartbeat(database, { clock, random, metrics })
  const sessions = createSessions({
    database,
    heartbeat,
    tokens: createRefreshTokens(secretsOf(config), random),
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
    policy: await createPolicy(dependencies),
    sessions,
    tokens,
    throttle,
    metrics,
    report,
    emailDigest,
    keys,
    ended,
    heartbeat,
  }
}

/** The key ring alone. Throws `WrongSecret`. */
export function openKeys(
  { config, database, clock, report }: Dependencies,
  more: Pick<KeyRingOptions, 'leaveUnreadable'> = {},
): Promise<KeyRing> {
  return openKeyRing({
    database,
    clock,
    report,
    sealingKeys: sealingKeysOf(secretsOf(config)),
    algorithm: config.signingAlgorithm,
    jwksMaxAge: config.jwksMaxAge,
    tokenLifetime: config.accessTokenTtl + LEEWAY,
    rotation: config.keyRotation,
    ...more,
  })
}

function createHasher({ config, hashingCost, random }: Dependencies): Hasher | Promise<Hasher> {
  return config.passwordEngine === 'native'
    ? loadNativeHasher(hashingCost, random)
    : createBunHasher(hashingCost)
}

async function createPolicy({
  config,
  clock,
  log,
  metrics,
}: Dependencies): Promise<PasswordPolicy> {
  const { passwordMinLength: minLength, passwordBreachUrl: url } = config
  return createPasswordPolicy({
    minLength,
    blocklist: await loadBlocklist(),
    serviceWords: wordsOfService(['munjigi', '문지기', config.tokenAudience], config.issuerUrl),
    breaches: url === undefined ? undefined : createBreachCheck({ url, clock, log, metrics }),
  })
}

/** As many as there are cores; why not one less: docs/security.md. */
function gateLimits({ passwordHashConcurrency }: Config): GateLimits {
  const running = passwordHashConcurrency ?? availableParallelism()
  const { waitingEach, patience, foreseen } = HASHING
  return { running, waiting: running * waitingEach, patience, foreseen }
}

/** Wires the parts. Throws what `createCore` throws. `createServer`: for a test that serves GraphQL another way. */
export async function createApp(
  dependencies: Dependencies,
  createServer = createGraphQLServer,
): Promise<App> {
  const { config, clock, random, database, log, metrics } = dependencies
  const core = await createCore(dependencies)
  log.info('hashing.ready', {
    engine: config.passwordEngine,
    ...dependencies.hashingCost,
    other: OTHER_ENGINE[config.passwordEngine],
  })
  const { keys, tokens, sessions, ended, heartbeat, throttle } = core
  const schema = createSchema(core)
  const serveGraphQL = createServer({
    schema,
    language: config.messageLanguage,
    introspection: config.introspection,
    clock,
    log,
    metrics,
    onCredentialFlood: ({ address }) => throttle.charge(address),
  })

  const sweep = async () => {
    await sessions.sweep()
    await throttle.sweep()
  }
  const background: readonly Loop[] = [
    heartbeat,
    ended,
    createLoop(SWEEP_MS, random, sweep),
    createLoop(keys.interval, random, keys.tend),
    createThreadPoolProbe({ clock, random, metrics }),
  ]
  let draining = false
  const failing = () => [
    ...(draining ? ['draining'] : []),
    ...(heartbeat.alive() ? [] : ['database']),
    ...(ended.current() ? [] : ['ended_sessions']),
    ...(keys.ready() ? [] : ['signing_keys']),
  ]
  const graphiql = config.graphiql ? createGraphiql(config.messageLanguage) : undefined
  const routes = createRoutes({
    config,
    clock,
    random,
    log,
    metrics,
    keys,
    tokens,
    ended,
    // Here, not around the whole request: waiting inside a context costs more, and most of a light request is not execution.
    graphql: (operation) =>
      withLogContext({ requestId: operation.client.requestId }, () =>
        database.forRequest(
          () => serveGraphQL(operation),
          () => networkOf(operation.client.address),
        ),
      ),
    failing,
    draining: () => draining,
    graphiql,
  })

  return {
    fetch: routes,
    async metricsFetch(request) {
      if (pathOf(request) !== '/metrics') return new Response('Not found\n', { status: 404 })
      return new Response(await metrics.print(), {
        headers: { 'content-type': metrics.contentType },
      })
    },
    async start() {
      await Promise.all([heartbeat.beat(), ended.follow()])
      for (const loop of background) loop.start()
    },
    drain() {
      draining = true
    },
    sweep,
    stop() {
      for (const loop of background) loop.stop()
    },
    madeSigningKey: keys.isNew,
  }
}
