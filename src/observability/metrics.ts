// The Prometheus registry: HTTP with the names, labels and buckets of @hono/prometheus, the rest our own. Every label value is
// known beforehand and starts at 0, so that rate() sees the first error and no client can create a series.

import type { Metric } from 'prom-client'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { EndReason, ThrottleRule } from './events.ts'
import { END_REASONS, SECURITY_EVENTS, THROTTLE_RULES } from './events.ts'
import type { HistogramOptions, Labels, Printed, Series } from './histogram.ts'
import { createHistogram } from './histogram.ts'

const SIGNUP_RESULTS = [
  'success',
  'email_taken',
  'invalid_input',
  'rate_limited',
  'overloaded',
  'left',
  'error',
] as const
const LOGIN_RESULTS = [
  'success',
  'already_logged_in',
  'invalid_credentials',
  'rate_limited',
  'overloaded',
  'left',
  'error',
] as const
const REFRESH_RESULTS = [
  'success',
  'repeated',
  'reused',
  'invalid',
  'rate_limited',
  'error',
] as const
const OPERATION_OUTCOMES = ['ok', 'refused', 'failed'] as const
const BREACH_CHECK_RESULTS = ['clean', 'breached', 'failed'] as const
const STATEMENT_KINDS = ['read', 'write'] as const
/** Of RFC 9110, and PATCH: the others are anybody's invention. */
const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH'.split(' '),
)
const STALE_READ_RESULTS = ['answered', 'behind', 'away'] as const

export type SignupResult = (typeof SIGNUP_RESULTS)[number]
export type LoginResult = (typeof LOGIN_RESULTS)[number]
export type RefreshResult = (typeof REFRESH_RESULTS)[number]
/** `refused`: the client's fault, the right answer, or nobody's, who has hung up. `failed`: ours; what a service level counts. */
export type OperationOutcome = (typeof OPERATION_OUTCOMES)[number]
/** `failed`: nobody could say, and the password was judged without. */
export type BreachCheckResult = (typeof BREACH_CHECK_RESULTS)[number]
export type StatementKind = (typeof STATEMENT_KINDS)[number]
/** Whether the read replica answered; if not, the primary did. */
export type StaleReadResult = (typeof STALE_READ_RESULTS)[number]

export type Metrics = ReturnType<typeof createMetrics>

/** A fresh registry with all series of the contract. */
export function createMetrics(build: { version: string; bun: string }) {
  const registry = new Registry()
  // A timer each 10 ms, the default, would keep an idle server busy for a hundredth of a core.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
  const registers = [registry]
  const histogram = (options: HistogramOptions) => {
    const made = createHistogram(options)
    register(registry, made)
    return made
  }

  // What is asked at each scrape; the parts that know the answers declare them.
  let hashing:
    | { engine: string; running: () => number; waiting: () => number; seconds: Series }
    | undefined
  let keyAgeSeconds = () => 0
  let writeAgeSeconds = () => 0
  let readReplicaAgeSeconds = () => 0
  let endedSessions = { known: () => 0, lagSeconds: () => 0 }

  const signups = new Counter({
    name: 'munjigi_signups_total',
    help: 'Signups by result.',
    labelNames: ['result'],
    registers,
  })
  const logins = new Counter({
    name: 'munjigi_logins_total',
    help: 'Logins by result.',
    labelNames: ['result'],
    registers,
  })
  const refreshes = new Counter({
    name: 'munjigi_refreshes_total',
    help: 'Refreshes by result.',
    labelNames: ['result'],
    registers,
  })
  const sessionsEnded = new Counter({
    name: 'munjigi_sessions_ended_total',
    help: 'Sessions ended by decision, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const endedKnown: Gauge = new Gauge({
    name: 'munjigi_ended_sessions_known',
    help: 'Ended sessions whose access tokens this replica refuses.',
    registers,
    collect: () => endedKnown.set(endedSessions.known()),
  })
  const endedLag: Gauge = new Gauge({
    name: 'munjigi_ended_sessions_lag_seconds',
    help: 'Seconds since this replica last learned which sessions ended.',
    registers,
    collect: () => endedLag.set(endedSessions.lagSeconds()),
  })
  const securityEvents = new Counter({
    name: 'munjigi_security_events_total',
    help: 'Security events by name, as in the log.',
    labelNames: ['event'],
    registers,
  })
  const requests = histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of HTTP requests in seconds',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  })
  const operations = histogram({
    name: 'munjigi_graphql_operation_seconds',
    help: 'GraphQL operations by root field and outcome.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 8],
  })
  const requestSeries = new Map<string, Series>()
  register(registry, requests.total('http_requests_total', 'Total number of HTTP requests'))
  const hashSeconds = histogram({
    name: 'munjigi_password_hash_seconds',
    help: 'Time of one password hash or verification, waiting excluded.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  })
  const hashRunning: Gauge = new Gauge({
    name: 'munjigi_password_hash_running',
    help: 'Password hashes at work.',
    labelNames: ['engine'],
    registers,
    collect: () => void (hashing && hashRunning.set({ engine: hashing.engine }, hashing.running())),
  })
  const hashWaiting: Gauge = new Gauge({
    name: 'munjigi_password_hash_waiting',
    help: 'Password hashes waiting for their turn.',
    labelNames: ['engine'],
    registers,
    collect: () => void (hashing && hashWaiting.set({ engine: hashing.engine }, hashing.waiting())),
  })
  const hashRefused = new Counter({
    name: 'munjigi_password_hash_refused_total',
    help: 'Password hashes refused because too many were waiting.',
    labelNames: ['engine'],
    registers,
  })
  const breachChecks = new Counter({
    name: 'munjigi_password_breach_checks_total',
    help: 'New passwords looked up in the list of breached ones, by result.',
    labelNames: ['result'],
    registers,
  })
  const threadPoolDelay = histogram({
    name: 'munjigi_thread_pool_delay_seconds',
    help: 'How long a tiny task waited for the pool of threads that hashes, files and asynchronous cryptography share.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  }).series({})
  const throttleRefused = new Counter({
    name: 'munjigi_throttle_refused_total',
    help: 'Attempts refused by a throttle, by rule.',
    labelNames: ['rule'],
    registers,
  })
  const statementSeconds = histogram({
    name: 'munjigi_database_statement_seconds',
    help: 'Database work, waiting and retries included.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2],
  })
  const statementRetries = new Counter({
    name: 'munjigi_database_retries_total',
    help: 'Database work repeated because the database was busy.',
    labelNames: ['kind'],
    registers,
  })
  const writeAge: Gauge = new Gauge({
    name: 'munjigi_database_write_age_seconds',
    help: 'Seconds since the database last took the write of each second that readiness rests on.',
    registers,
    collect: () => writeAge.set(writeAgeSeconds()),
  })
  const staleReads = new Counter({
    name: 'munjigi_database_stale_reads_total',
    help: 'Reads that the read replica may answer, by whether it did; else the primary answered.',
    labelNames: ['result'],
    registers,
  })
  const readReplicaAge: Gauge = new Gauge({
    name: 'munjigi_database_read_replica_age_seconds',
    help: 'Age of the newest heartbeat that the read replica has shown, about a second when it keeps up; 0 without one.',
    registers,
    collect: () => readReplicaAge.set(readReplicaAgeSeconds()),
  })
  const keyAge: Gauge = new Gauge({
    name: 'munjigi_signing_key_age_seconds',
    help: 'Age of the key that signs.',
    registers,
    collect: () => keyAge.set(keyAgeSeconds()),
  })
  const buildInfo = new Gauge({
    name: 'munjigi_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'bun'],
    registers,
  })

  const statements = {
    read: statementSeconds.series({ kind: 'read' }),
    write: statementSeconds.series({ kind: 'write' }),
  } satisfies Record<StatementKind, Series>
  for (const result of SIGNUP_RESULTS) signups.inc({ result }, 0)
  for (const result of LOGIN_RESULTS) logins.inc({ result }, 0)
  for (const result of REFRESH_RESULTS) refreshes.inc({ result }, 0)
  for (const reason of END_REASONS) sessionsEnded.inc({ reason }, 0)
  for (const rule of THROTTLE_RULES) throttleRefused.inc({ rule }, 0)
  for (const event of SECURITY_EVENTS) securityEvents.inc({ event }, 0)
  for (const result of BREACH_CHECK_RESULTS) breachChecks.inc({ result }, 0)
  for (const result of STALE_READ_RESULTS) staleReads.inc({ result }, 0)
  for (const kind of STATEMENT_KINDS) statementRetries.inc({ kind }, 0)
  buildInfo.set({ version: build.version, bun: build.bun }, 1)

  return {
    countSignup: (result: SignupResult) => signups.inc({ result }),
    countLogin: (result: LoginResult) => logins.inc({ result }),
    countRefresh: (result: RefreshResult) => refreshes.inc({ result }),
    countSessionEnded: (reason: EndReason) => sessionsEnded.inc({ reason }),
    declareEndedSessions(counts: { known: () => number; lagSeconds: () => number }) {
      endedSessions = counts
    },
    countSecurityEvent: (event: string) => securityEvents.inc({ event }),
    /** Gives every root field of the schema its series. */
    declareOperations(fields: ReadonlyArray<{ type: string; field: string }>) {
      for (const { type, field } of fields)
        for (const outcome of OPERATION_OUTCOMES) operations.series({ type, field, outcome })
    },
    /** The series of a root field with one outcome: `declareOperations` has made it. */
    operation: (type: string, field: string, outcome: OperationOutcome): Series =>
      operations.series({ type, field, outcome }),
    /** Series for one hashing engine, and its running and waiting counts at each scrape. */
    declareHashing(engine: string, counts: { running: () => number; waiting: () => number }) {
      hashRefused.inc({ engine }, 0)
      hashing = { engine, ...counts, seconds: hashSeconds.series({ engine }) }
    },
    observeHash: (seconds: number) => hashing?.seconds.observe(seconds),
    countHashRefused: (engine: string) => hashRefused.inc({ engine }),
    countBreachCheck: (result: BreachCheckResult) => breachChecks.inc({ result }),
    observeThreadPoolDelay: (seconds: number) => threadPoolDelay.observe(seconds),
    countThrottleRefused: (rule: ThrottleRule) => throttleRefused.inc({ rule }),
    observeStatement: (kind: StatementKind, seconds: number) => statements[kind].observe(seconds),
    countRetry: (kind: StatementKind) => statementRetries.inc({ kind }),
    declareWriteAge(seconds: () => number) {
      writeAgeSeconds = seconds
    },
    countStaleRead: (result: StaleReadResult) => staleReads.inc({ result }),
    declareReadReplicaAge(seconds: () => number) {
      readReplicaAgeSeconds = seconds
    },
    declareKeyAge(seconds: () => number) {
      keyAgeSeconds = seconds
    },
    /** Counts and times an answer, by route pattern. */
    observeRequest(method: string, route: string, answer: { status: number; seconds: number }) {
      const name = METHODS.has(method) ? method : 'other'
      const key = `${answer.status} ${name} ${route}`
      const known =
        requestSeries.get(key) ?? requests.series(requestLabels(name, route, answer.status))
      requestSeries.set(key, known)
      known.observe(answer.seconds)
    },
    /** The text that Prometheus scrapes. */
    print: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

/** prom-client's registry takes whatever has a name and says what to print; its types know only its own classes. */
function register(registry: Registry, metric: Printed): void {
  registry.registerMetric(metric as unknown as Metric)
}

function requestLabels(method: string, route: string, status: number): Labels {
  return {
    method,
    route,
    status: String(status),
    ok: String(status >= 200 && status < 300),
  }
}
