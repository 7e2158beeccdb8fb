// The Prometheus registry: HTTP with the names, labels and buckets of @hono/prometheus, the rest our own. Every label value is
// known beforehand and starts at 0, so that rate() sees the first error and no client can create a series.

import type { Metric } from 'prom-client'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
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
/** The methods of RFC 9110, and PATCH. A client may invent others; they count as `other`. */
const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH'.split(' '),
)
const STALE_READ_RESULTS = ['answered', 'behind', 'away'] as const

export type SignupResult = (typeof SIGNUP_RESULTS)[number]
export type LoginResult = (typeof LOGIN_RESULTS)[number]
/** `repeated`: the same successor again, within the grace. `reused`: too late for that, and the session has ended. */
export type RefreshResult = (typeof REFRESH_RESULTS)[number]
/**
 * `refused`: the client's fault, the right answer (as to a wrong password), or a client that has hung up. `failed`: our fault;
 * what a service level counts.
 */
export type OperationOutcome = (typeof OPERATION_OUTCOMES)[number]
/** `failed`: there was no answer, and the password was judged without one. */
export type BreachCheckResult = (typeof BREACH_CHECK_RESULTS)[number]
export type StatementKind = (typeof STATEMENT_KINDS)[number]
/** Whether the read replica answered; if not, the primary did. */
export type StaleReadResult = (typeof STALE_READ_RESULTS)[number]

export type Metrics = ReturnType<typeof createMetrics>

/** A fresh registry with all our series. `version` is Munjigi's own, for `munjigi_build_info`. */
export function createMetrics(version: string) {
  const registry = new Registry()
  const registers = [registry]
  const histogram = (options: HistogramOptions) => {
    const made = createHistogram(options)
    register(registry, made)
    return made
  }

  let hashing:
    | { engine: string; running: () => number; waiting: () => number; seconds: Series }
    | undefined

  const countSignup = counter('result', SIGNUP_RESULTS, {
    name: 'munjigi_signups_total',
    help: 'Signups by result.',
  })
  const countLogin = counter('result', LOGIN_RESULTS, {
    name: 'munjigi_logins_total',
    help: 'Logins by result.',
  })
  const countRefresh = counter('result', REFRESH_RESULTS, {
    name: 'munjigi_refreshes_total',
    help: 'Refreshes by result.',
  })
  const countSessionEnded = counter('reason', END_REASONS, {
    name: 'munjigi_sessions_ended_total',
    help: 'Sessions ended by decision, by reason.',
  })
  const declareEndedKnown = gauge({
    name: 'munjigi_ended_sessions_known',
    help: 'Ended sessions whose access tokens this replica refuses.',
  })
  const declareEndedLag = gauge({
    name: 'munjigi_ended_sessions_lag_seconds',
    help: 'Seconds since this replica last learned which sessions ended.',
  })
  const countSecurityEvent = counter('event', SECURITY_EVENTS, {
    name: 'munjigi_security_events_total',
    help: 'Security events by name, as in the log.',
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
  new Gauge({
    name: 'munjigi_password_hash_running',
    help: 'Password hashes at work.',
    labelNames: ['engine'],
    registers,
    collect() {
      if (hashing) this.set({ engine: hashing.engine }, hashing.running())
    },
  })
  new Gauge({
    name: 'munjigi_password_hash_waiting',
    help: 'Password hashes waiting for their turn.',
    labelNames: ['engine'],
    registers,
    collect() {
      if (hashing) this.set({ engine: hashing.engine }, hashing.waiting())
    },
  })
  const hashRefused = new Counter({
    name: 'munjigi_password_hash_refused_total',
    help: 'Password hashes refused because too many were waiting.',
    labelNames: ['engine'],
    registers,
  })
  const countBreachCheck = counter('result', BREACH_CHECK_RESULTS, {
    name: 'munjigi_password_breach_checks_total',
    help: 'New passwords looked up in the list of breached ones, by result.',
  })
  const threadPoolDelay = histogram({
    name: 'munjigi_thread_pool_delay_seconds',
    help: 'How long a tiny task waited for the pool of threads that hashes, files and asynchronous cryptography share.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  }).series({})
  const countThrottleRefused = counter('rule', THROTTLE_RULES, {
    name: 'munjigi_throttle_refused_total',
    help: 'Attempts refused by a throttle, by rule.',
  })
  const statementSeconds = histogram({
    name: 'munjigi_database_statement_seconds',
    help: 'Database work, waiting and retries included.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2],
  })
  const statements = {
    read: statementSeconds.series({ kind: 'read' }),
    write: statementSeconds.series({ kind: 'write' }),
  } satisfies Record<StatementKind, Series>
  const countRetry = counter('kind', STATEMENT_KINDS, {
    name: 'munjigi_database_retries_total',
    help: 'Database work repeated because the database was busy.',
  })
  const declareWriteAge = gauge({
    name: 'munjigi_database_write_age_seconds',
    help: 'Seconds since the last heartbeat that the database wrote; one is due each second, and readiness rests on them.',
  })
  const countStaleRead = counter('result', STALE_READ_RESULTS, {
    name: 'munjigi_database_stale_reads_total',
    help: 'Reads that the read replica may answer, by whether it did; else the primary answered.',
  })
  const declareReadReplicaAge = gauge({
    name: 'munjigi_database_read_replica_age_seconds',
    help: 'Age of the newest heartbeat that the read replica has shown, about a second when it keeps up; 0 without one.',
  })
  const declareKeyAge = gauge({
    name: 'munjigi_signing_key_age_seconds',
    help: 'Age of the key that signs.',
  })
  new Gauge({
    name: 'munjigi_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'bun'],
    registers,
  }).set({ version, bun: Bun.version }, 1)

  return {
    countSignup,
    countLogin,
    countRefresh,
    countSessionEnded,
    declareEndedKnown,
    declareEndedLag,
    countSecurityEvent,
    /** Gives every root field of the schema its series. */
    declareOperations(fields: ReadonlyArray<{ type: string; field: string }>) {
      for (const { type, field } of fields)
        for (const outcome of OPERATION_OUTCOMES) operations.series({ type, field, outcome })
    },
    /** The series of a root field with one outcome: `declareOperations` has made it. */
    operation: (type: string, field: string, outcome: OperationOutcome): Series =>
      operations.series({ type, field, outcome }),
    /** Series for one hashing engine, and its running and waiting counts at each scrape. */
    declareHashing(engine: string, { running, waiting }: { running: Reading; waiting: Reading }) {
      hashRefused.inc({ engine }, 0)
      hashing = { engine, running, waiting, seconds: hashSeconds.series({ engine }) }
    },
    observeHash: (seconds: number) => hashing?.seconds.observe(seconds),
    countHashRefused: (engine: string) => hashRefused.inc({ engine }),
    countBreachCheck,
    observeThreadPoolDelay: (seconds: number) => threadPoolDelay.observe(seconds),
    countThrottleRefused,
    observeStatement: (kind: StatementKind, seconds: number) => statements[kind].observe(seconds),
    countRetry,
    declareWriteAge,
    countStaleRead,
    declareReadReplicaAge,
    declareKeyAge,
    /** Counts and times an answer, by route pattern. */
    observeRequest(method: string, route: string, answer: { status: number; seconds: number }) {
      const name = METHODS.has(method) ? method : 'other'
      const key = `${answer.status} ${name} ${route}`
      const known =
        requestSeries.get(key) ?? requests.series(requestLabels(name, route, answer.status))
      requestSeries.set(key, known)
      known.observe(answer.seconds)
    },
    /** Adds prom-client's metrics of the process. Once in a process: their timer never ends. */
    addProcess() {
      // The default, a timer every 10 ms, would cost an idle server a hundredth of a core.
      collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
    },
    /** The text that Prometheus scrapes. */
    print: () => registry.metrics(),
    contentType: registry.contentType,
  }

  /** A counter with one label, all of whose values start at 0. */
  function counter<Value extends string>(
    label: string,
    values: readonly Value[],
    { name, help }: Named,
  ): (value: Value) => void {
    const made = new Counter({ name, help, labelNames: [label], registers })
    for (const value of values) made.inc({ [label]: value }, 0)
    return (value) => made.inc({ [label]: value })
  }

  /** A gauge that is read at each scrape. The part that knows the value supplies the reading. */
  function gauge({ name, help }: Named): (reading: Reading) => void {
    let read: Reading = () => 0
    new Gauge({
      name,
      help,
      registers,
      collect() {
        // Bounded: the age of what has never happened is infinite.
        this.set(Math.min(read(), Number.MAX_SAFE_INTEGER))
      },
    })
    return (reading) => {
      read = reading
    }
  }
}

type Named = Pick<HistogramOptions, 'name' | 'help'>
type Reading = () => number

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
