// The settings: one table, read once into one frozen Config. Every fault is reported at once, by name, without values.
// Knows neither process nor file system: the environment and a file reader are handed in.

import type { BlockList } from 'node:net'
import { unknownNames } from './config/names.ts'
import { withSecretFile } from './config/secret-file.ts'
import type { Name, Setting } from './config/table.ts'
import { SETTINGS } from './config/table.ts'
import { Fault, PREFIX, RANDOM_TEXT, secretText } from './config/values.ts'
import type { Language } from './errors.ts'
import { NotText } from './platform/utf8.ts'

/** How the process was started. The mode is never guessed from the environment. */
export type Mode = 'dev' | 'serve'
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256'

/** The settings as the code sees them: numbers are seconds or counts, absent means not set. */
export interface Settings {
  readonly mode: Mode
  readonly host: string
  readonly port: number
  readonly metricsHost: string
  readonly metricsPort: number
  readonly databaseUrl: string
  readonly databaseReadUrl: string | undefined
  readonly databaseAuthToken: string | undefined
  readonly secret: string | undefined
  readonly issuerUrl: string | undefined
  readonly tokenAudience: string
  readonly signingAlgorithm: SigningAlgorithm
  readonly accessTokenTtl: number
  readonly sessionIdleTtl: number
  readonly sessionMaxTtl: number
  readonly refreshGrace: number
  readonly maxSessions: number
  readonly jwksMaxAge: number
  readonly keyRotation: number
  readonly secretPrevious: string | undefined
  readonly messageLanguage: Language
  readonly passwordMinLength: number
  readonly passwordEngine: 'bun' | 'native'
  /** MiB. */
  readonly passwordHashMemory: number
  readonly passwordHashPasses: number
  readonly passwordBreachUrl: string | undefined
  /** Undefined: as the number of cores suggests. */
  readonly passwordHashConcurrency: number | undefined
  readonly throttleUserAttempts: number
  readonly throttleUserDelay: number
  readonly throttleUserMaxDelay: number
  readonly throttleUserLimit: number
  readonly throttleUserMemory: number
  readonly throttleAddressAttempts: number
  readonly throttleAddressInterval: number
  readonly throttleSignupAttempts: number
  readonly throttleSignupInterval: number
  readonly clientAddressHeader: string | undefined
  readonly trustedPeers: BlockList
  readonly corsOrigins: readonly string[]
  readonly graphiql: boolean
  readonly introspection: boolean
  readonly logLevel: LogLevel
  readonly logFormat: 'json' | 'pretty'
  readonly drainSeconds: number
}

/** Settings with everything that a running app cannot do without. */
export interface Config extends Settings {
  readonly secret: string
  readonly issuerUrl: string
}

type LogLevel = 'debug' | 'info' | 'warning' | 'error'

/** The environment that settings are read from. `readFile` reads a `…_FILE`; it throws if it cannot, `NotText` if it is not text. */
export interface ConfigSource {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => string
  /** Whether a person reads the output. */
  readonly onTerminal: boolean
}

/** All that is wrong with the settings, one line each. The process exits with 78 (EX_CONFIG). */
export class ConfigFaults extends Error {
  override readonly name = 'ConfigFaults'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(
      `Configuration has ${faults.length} problem(s):\n${faults.map((f) => `  ${f}`).join('\n')}`,
    )
    this.faults = faults
  }
}

type Values = { readonly [N in Name]: ReturnType<(typeof SETTINGS)[N]['read']> | undefined }

/** Reads and checks every setting; `serve` demands a secret and an issuer. Throws `ConfigFaults` with all that is wrong. */
export function readSettings(mode: 'serve', source: ConfigSource): Config
export function readSettings(mode: Mode, source: ConfigSource): Settings
export function readSettings(mode: Mode, outside: ConfigSource): Settings {
  const faults = unknownNames(outside.environment)
  const source = withSecretFile(outside, faults)
  const read = <N extends Name>(name: N) => readOne(name, mode, source, faults)
  const host = read('HOST')
  const values = {
    mode,
    host,
    port: read('PORT'),
    metricsHost: read('METRICS_HOST') ?? host,
    metricsPort: read('METRICS_PORT'),
    databaseUrl: read('DATABASE_URL'),
    databaseReadUrl: read('DATABASE_READ_URL'),
    databaseAuthToken: read('DATABASE_AUTH_TOKEN'),
    secret: read('SECRET'),
    issuerUrl: read('ISSUER_URL'),
    tokenAudience: read('TOKEN_AUDIENCE'),
    signingAlgorithm: read('SIGNING_ALGORITHM'),
    accessTokenTtl: read('ACCESS_TOKEN_TTL'),
    sessionIdleTtl: read('SESSION_IDLE_TTL'),
    sessionMaxTtl: read('SESSION_MAX_TTL'),
    refreshGrace: read('REFRESH_GRACE'),
    maxSessions: read('MAX_SESSIONS'),
    jwksMaxAge: read('JWKS_MAX_AGE'),
    keyRotation: read('KEY_ROTATION'),
    secretPrevious: read('SECRET_PREVIOUS'),
    messageLanguage: read('MESSAGE_LANGUAGE'),
    passwordMinLength: read('PASSWORD_MIN_LENGTH'),
    passwordEngine: read('PASSWORD_ENGINE'),
    passwordHashMemory: read('PASSWORD_HASH_MEMORY'),
    passwordHashPasses: read('PASSWORD_HASH_PASSES'),
    passwordBreachUrl: read('PASSWORD_BREACH_URL'),
    passwordHashConcurrency: read('PASSWORD_HASH_CONCURRENCY'),
    throttleUserAttempts: read('THROTTLE_USER_ATTEMPTS'),
    throttleUserDelay: read('THROTTLE_USER_DELAY'),
    throttleUserMaxDelay: read('THROTTLE_USER_MAX_DELAY'),
    throttleUserLimit: read('THROTTLE_USER_LIMIT'),
    throttleUserMemory: read('THROTTLE_USER_MEMORY'),
    throttleAddressAttempts: read('THROTTLE_ADDRESS_ATTEMPTS'),
    throttleAddressInterval: read('THROTTLE_ADDRESS_INTERVAL'),
    throttleSignupAttempts: read('THROTTLE_SIGNUP_ATTEMPTS'),
    throttleSignupInterval: read('THROTTLE_SIGNUP_INTERVAL'),
    clientAddressHeader: read('CLIENT_ADDRESS_HEADER'),
    trustedPeers: read('TRUSTED_PEERS'),
    corsOrigins: read('CORS_ORIGINS'),
    graphiql: read('GRAPHIQL'),
    introspection: read('INTROSPECTION'),
    logLevel: read('LOG_LEVEL'),
    logFormat: forPeople(mode, source) ? 'pretty' : read('LOG_FORMAT'),
    drainSeconds: read('DRAIN_SECONDS'),
  }
  if (mode === 'serve') faults.push(...missingForServe(source.environment))
  if (values.clientAddressHeader && values.trustedPeers?.rules.length === 0)
    faults.push(
      `${PREFIX}CLIENT_ADDRESS_HEADER: needs ${PREFIX}TRUSTED_PEERS, or anybody could claim any address`,
    )
  if (values.databaseReadUrl && values.databaseUrl?.startsWith('file:'))
    faults.push(
      `${PREFIX}DATABASE_READ_URL: needs a server in ${PREFIX}DATABASE_URL; a file has no read replica`,
    )
  if (endsBeforeItWaits(values.throttleUserAttempts, values.throttleUserLimit))
    faults.push(
      `${PREFIX}THROTTLE_USER_LIMIT: too low; a fifth of it, reserved for addresses that the user has logged in from, must be more than ${PREFIX}THROTTLE_USER_ATTEMPTS`,
    )
  if (isCheap(values.passwordHashMemory, values.passwordHashPasses))
    faults.push(
      `${PREFIX}PASSWORD_HASH_PASSES: too few for that much memory; at least ${CHEAPEST.map(([memory, passes]) => `${passes} with ${memory} MiB`).join(', ')}`,
    )
  if (values.port && values.port === values.metricsPort)
    faults.push(`${PREFIX}METRICS_PORT: must not be the public port`)
  if (faults.length > 0) throw new ConfigFaults(faults)
  // Without faults every setting that has a default or is required has a value: the cast states what the checks above ensured.
  return Object.freeze(values) as Settings
}

/** The secrets in force. The first one writes; a second one is only accepted beside it. */
export function secretsOf({
  secret,
  secretPrevious,
}: Pick<Config, 'secret' | 'secretPrevious'>): readonly [string, ...string[]] {
  return secretPrevious === undefined ? [secret] : [secret, secretPrevious]
}

/** How many of the `limit` wrong passwords in a row for one user are kept for addresses that the user has logged in from. */
export function knownAddressLimit(limit: number): number {
  return Math.floor(limit / 5)
}

/** OWASP Password Storage: memory in MiB and passes, each pair as strong as the others. */
const CHEAPEST = [
  [46, 1],
  [19, 2],
  [12, 3],
  [9, 4],
  [7, 5],
] as const

/** Whether the parameters are weaker than OWASP asks for. One that could not be read is a fault already, and not weak as well. */
function isCheap(memory = Number.POSITIVE_INFINITY, passes = Number.POSITIVE_INFINITY): boolean {
  return !CHEAPEST.some(([least, fewest]) => memory >= least && passes >= fewest)
}

/** Whether so few wrong passwords that none would be delayed would already shut a user out at their own addresses. */
function endsBeforeItWaits(attempts = 0, limit = Number.POSITIVE_INFINITY): boolean {
  return attempts > 0 && attempts >= knownAddressLimit(limit)
}

/** On a terminal `dev` logs for a person, unless `LOG_FORMAT` is set. */
function forPeople(mode: Mode, { environment, onTerminal }: ConfigSource): boolean {
  return mode === 'dev' && onTerminal && !environment[`${PREFIX}LOG_FORMAT`]
}

function readOne<N extends Name>(
  name: N,
  mode: Mode,
  source: ConfigSource,
  faults: string[],
): Values[N] {
  const row: Setting<unknown> = SETTINGS[name]
  try {
    const value =
      given(name, row, source) ??
      (typeof row.default === 'object' ? row.default[mode] : row.default)
    return (value === undefined ? undefined : row.read(value)) as Values[N]
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    faults.push(`${PREFIX}${name}${error.message}`)
    return undefined
  }
}

/** What the environment says, directly or through `…_FILE`. An empty variable counts as not set. */
function given(name: Name, row: Setting<unknown>, source: ConfigSource): string | undefined {
  const plain =
    source.environment[PREFIX + name] ||
    (name === 'PORT' ? source.environment['PORT'] : '') ||
    undefined
  const path = row.secret && source.environment[`${PREFIX}${name}_FILE`]
  if (!path) return plain
  if (plain) throw new Fault(`: set ${PREFIX}${name} or ${PREFIX}${name}_FILE, not both`)
  try {
    return source.readFile(path).replace(/\r?\n$/, '')
  } catch (error) {
    if (error instanceof NotText)
      throw new Fault(`_FILE: is not text${row.read === secretText ? `; ${RANDOM_TEXT}` : ''}`)
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new Fault(`_FILE: cannot read the file it names (${code})`)
  }
}

function missingForServe(environment: ConfigSource['environment']): string[] {
  const isSet = (name: string) => environment[PREFIX + name] || environment[`${PREFIX}${name}_FILE`]
  return ['SECRET', 'ISSUER_URL']
    .filter((name) => !isSet(name))
    .map((name) => `${PREFIX}${name}: is required by serve`)
}
