// The settings: one table, read once into one frozen Config. Every fault is reported at once, by name, without values.
// Knows neither process nor file system: the environment and a file reader are handed in.

import { BlockList, isIP } from 'node:net'
import type { Language } from './errors.ts'

/** How the process was started. The mode is never guessed from the environment. */
export type Mode = 'dev' | 'serve'
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256'

/** The settings as the code sees them: numbers are seconds or counts, absent means not set. */
export interface Settings {
  readonly host: string
  readonly port: number
  readonly metricsHost: string
  readonly metricsPort: number
  readonly databaseUrl: string
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
  readonly mode: Mode
  readonly secret: string
  readonly issuerUrl: string
}

export type LogLevel = 'debug' | 'info' | 'warning' | 'error'

/** The environment that settings are read from, and how a `…_FILE` is read (throws when it cannot be). */
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

/** One row of the table: what the README prints and how the text becomes a value. `read` throws a `Fault`. */
interface Setting<T> {
  readonly default?: string | { readonly dev?: string; readonly serve?: string }
  readonly doc: string
  readonly secret?: true
  readonly read: (text: string) => T
}

class Fault extends Error {}

/** A pattern rather than an origin: what `munjigi dev` allows, for front ends on any local port. */
export const ANY_LOCALHOST = 'http://localhost:*'

/** Names are given without their prefix `MUNJIGI_`. */
const SETTINGS = {
  HOST: setting(hostName, 'The address to listen on (0.0.0.0 in the image).', '127.0.0.1'),
  PORT: setting(
    integer(0, 65_535),
    'The public port; 0 takes any free one. `PORT` without prefix is honoured too. Only `dev` moves on to the next free port.',
    '3000',
  ),
  METRICS_HOST: setting(hostName, 'The address for `/metrics`. As `MUNJIGI_HOST` when not set.'),
  METRICS_PORT: setting(integer(0, 65_535), 'The port for `/metrics`; never publish it.', '9464'),
  DATABASE_URL: setting(
    databaseUrl,
    'Where the data is: `file:`, `http(s):` or `libsql:`.',
    'file:./data/munjigi.db',
  ),
  DATABASE_AUTH_TOKEN: secret(text, 'The token for a libSQL server.'),
  SECRET: secret(
    secretText,
    'At least 32 bytes that never change: keys for everything are derived from it. `dev` makes one beside the database; `serve` demands it.',
  ),
  ISSUER_URL: setting(
    webUrl,
    'The `iss` of every token: the public URL of this service. `dev` uses the URL it listens on; `serve` demands it.',
  ),
  TOKEN_AUDIENCE: setting(text, 'The `aud` of every token.', 'munjigi'),
  SIGNING_ALGORITHM: setting(
    oneOf('ES256', 'EdDSA', 'RS256'),
    'How access tokens are signed: ES256, EdDSA or RS256.',
    'ES256',
  ),
  ACCESS_TOKEN_TTL: setting(
    duration(10, 86_400),
    'How long an access token is valid: `90s`, `10m`, `1h`.',
    '10m',
  ),
  SESSION_IDLE_TTL: setting(
    duration(60, 365 * 86_400),
    'A session that is not refreshed for so long expires.',
    '30d',
  ),
  SESSION_MAX_TTL: setting(
    duration(60, 365 * 86_400),
    'No session lives longer, however often it is refreshed.',
    '90d',
  ),
  REFRESH_GRACE: setting(
    duration(0, 300),
    'How long the refresh token used last may be used again, for the same successor: lost answers, two tabs.',
    '30s',
  ),
  MAX_SESSIONS: setting(
    integer(1, 10_000),
    'Sessions a user may hold; one more ends the oldest.',
    '100',
  ),
  JWKS_MAX_AGE: setting(
    duration(1, 86_400),
    'How long others may cache the public keys. A new key is published at least so long before it signs.',
    '5m',
  ),
  KEY_ROTATION: setting(
    duration(0, 3_650 * 86_400),
    'The age at which the signing key is replaced by a new one; `0`: only by command.',
    '90d',
  ),
  SECRET_PREVIOUS: secret(
    secretText,
    'A second secret that is accepted beside the first while it is being replaced (docs/operations.md).',
  ),
  MESSAGE_LANGUAGE: setting(oneOf('ko', 'en'), 'The language of messages: ko or en.', 'ko'),
  PASSWORD_MIN_LENGTH: setting(
    integer(8, 64),
    'The shortest password accepted, in code points. 15 is recommended where the password stands alone (NIST SP 800-63B-4).',
    '8',
  ),
  PASSWORD_ENGINE: setting(
    oneOf('bun', 'native'),
    'What computes the hashes: bun, or native (the optional package `@node-rs/argon2`): the same hashes for less than half of the CPU.',
    'bun',
  ),
  PASSWORD_HASH_MEMORY: setting(
    integer(7, 256),
    'MiB of memory for one argon2id hash. A login hashes a password anew when memory or passes have changed.',
    '19',
  ),
  PASSWORD_HASH_PASSES: setting(
    integer(1, 10),
    'Passes over that memory. At least what OWASP asks for: 46 MiB and 1, 19 and 2, 12 and 3, 9 and 4, or 7 and 5.',
    '2',
  ),
  PASSWORD_BREACH_URL: setting(
    webUrl,
    'Where to ask whether a new password is known from a breach, e.g. `https://api.pwnedpasswords.com/range`. Five digits of its SHA-1 are sent. Nobody is asked when not set.',
  ),
  PASSWORD_HASH_CONCURRENCY: setting(
    integer(1, 1_024),
    'How many passwords are hashed at once. When not set: one less than there are cores, at least one.',
  ),
  THROTTLE_USER_ATTEMPTS: setting(
    integer(0, 100),
    'Wrong passwords for one user before each further one must wait; the right one begins the count anew. `0`: no such throttle.',
    '10',
  ),
  THROTTLE_USER_DELAY: setting(
    duration(1, 3_600),
    'The first wait. It doubles with every further wrong password.',
    '1s',
  ),
  THROTTLE_USER_MAX_DELAY: setting(duration(1, 86_400), 'The longest wait.', '15m'),
  THROTTLE_USER_LIMIT: setting(
    integer(10, 100),
    'Wrong passwords in a row for one user after which there is no further try until they are forgotten. A fifth of them is kept for addresses that the user has logged in from.',
    '100',
  ),
  THROTTLE_USER_MEMORY: setting(
    duration(60, 365 * 86_400),
    'How long after the last one wrong passwords are forgotten.',
    '24h',
  ),
  THROTTLE_ADDRESS_ATTEMPTS: setting(
    integer(0, 1_000_000),
    'Wrong passwords from one address (IPv6: from one /64) that may come at once. `0`: no such throttle.',
    '100',
  ),
  THROTTLE_ADDRESS_INTERVAL: setting(duration(1, 86_400), 'After those: one each so long.', '10s'),
  THROTTLE_SIGNUP_ATTEMPTS: setting(
    integer(0, 1_000_000),
    'Signups from one address that may come at once, failed ones included. `0`: no such throttle.',
    '20',
  ),
  THROTTLE_SIGNUP_INTERVAL: setting(duration(1, 86_400), 'After those: one each so long.', '1m'),
  CLIENT_ADDRESS_HEADER: setting(
    headerName,
    'The header in which the edge reports the client, e.g. `x-envoy-external-address`. Needs `MUNJIGI_TRUSTED_PEERS`.',
  ),
  TRUSTED_PEERS: setting(
    networks,
    'The edge: addresses or networks whose `x-request-id` and client address are believed, separated by commas.',
    '',
  ),
  CORS_ORIGINS: setting(origins, 'Browser origins that may call, exact, separated by commas.', {
    dev: ANY_LOCALHOST,
    serve: '',
  }),
  GRAPHIQL: setting(flag, 'Whether `GET /graphql` shows GraphiQL to browsers.', {
    dev: 'true',
    serve: 'false',
  }),
  INTROSPECTION: setting(flag, 'Whether the schema can be asked for.', {
    dev: 'true',
    serve: 'false',
  }),
  LOG_LEVEL: setting(
    oneOf('debug', 'info', 'warning', 'error'),
    'What is logged: debug, info, warning or error.',
    'info',
  ),
  LOG_FORMAT: setting(
    oneOf('json', 'pretty'),
    'json: an object a line. pretty: for people; what `dev` uses on a terminal unless this is set.',
    'json',
  ),
  DRAIN_SECONDS: setting(
    integer(0, 300),
    'How long to serve on after SIGTERM, so that the edge can turn away.',
    { dev: '0', serve: '6' },
  ),
} as const satisfies Record<string, Setting<unknown>>

type Name = keyof typeof SETTINGS
type Values = { readonly [N in Name]: ReturnType<(typeof SETTINGS)[N]['read']> | undefined }

const PREFIX = 'MUNJIGI_'
const NAMES = Object.keys(SETTINGS) as Name[]

/** Reads and checks every setting. Throws `ConfigFaults` with all that is wrong. */
export function readSettings(mode: Mode, source: ConfigSource): Settings {
  const faults = unknownNames(source.environment)
  const read = <N extends Name>(name: N) => readOne(name, mode, source, faults)
  const host = read('HOST')
  const values = {
    host,
    port: read('PORT'),
    metricsHost: read('METRICS_HOST') ?? host,
    metricsPort: read('METRICS_PORT'),
    databaseUrl: read('DATABASE_URL'),
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
    trustedPeers: read('TRUSTED_PEERS') ?? new BlockList(),
    corsOrigins: read('CORS_ORIGINS') ?? [],
    graphiql: read('GRAPHIQL'),
    introspection: read('INTROSPECTION'),
    logLevel: read('LOG_LEVEL'),
    logFormat: forPeople(mode, source) ? 'pretty' : read('LOG_FORMAT'),
    drainSeconds: read('DRAIN_SECONDS'),
  }
  if (mode === 'serve') faults.push(...missingForServe(source.environment))
  if (values.clientAddressHeader && values.trustedPeers.rules.length === 0)
    faults.push(
      `${PREFIX}CLIENT_ADDRESS_HEADER: needs ${PREFIX}TRUSTED_PEERS, else anybody could choose an address`,
    )
  if (isCheap(values.passwordHashMemory, values.passwordHashPasses))
    faults.push(
      `${PREFIX}PASSWORD_HASH_PASSES: too few for that much memory; at least ${CHEAPEST.map(([memory, passes]) => `${passes} with ${memory} MiB`).join(', ')}`,
    )
  if (values.port !== 0 && values.port === values.metricsPort)
    faults.push(`${PREFIX}METRICS_PORT: must not be the public port`)
  if (faults.length > 0) throw new ConfigFaults(faults)
  // Without faults every setting with a default has a value: the type says what the checks above ensured.
  return Object.freeze(values) as Settings
}

/** OWASP Password Storage: memory in MiB and passes, each pair as strong as the others. */
const CHEAPEST = [
  [46, 1],
  [19, 2],
  [12, 3],
  [9, 4],
  [7, 5],
] as const

/** A setting that could not be read is a fault of its own. */
function isCheap(memory = Number.POSITIVE_INFINITY, passes = Number.POSITIVE_INFINITY): boolean {
  return !CHEAPEST.some(([least, fewest]) => memory >= least && passes >= fewest)
}

/** The table of the README, in Markdown. */
export function settingsTable(): string {
  const rows = NAMES.map(
    (name) =>
      `| \`${PREFIX}${name}\` | ${describeDefault(SETTINGS[name])} | ${SETTINGS[name].doc} |`,
  )
  return ['| Setting | Default | Meaning |', '| --- | --- | --- |', ...rows].join('\n')
}

function describeDefault(row: Setting<unknown>): string {
  const show = (value: string | undefined) => (value ? `\`${value}\`` : '–')
  if (typeof row.default === 'object')
    return `${show(row.default.dev)} under \`dev\`, ${show(row.default.serve)} under \`serve\``
  return show(row.default)
}

/** On a terminal `dev` speaks to a person, unless told otherwise. */
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

function unknownNames(environment: ConfigSource['environment']): string[] {
  const known = NAMES.flatMap((name) =>
    'secret' in SETTINGS[name] ? [PREFIX + name, `${PREFIX}${name}_FILE`] : [PREFIX + name],
  )
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && environment[name] && !known.includes(name))
    .map((name) => `${name}: unknown setting${didYouMean(name, known)}`)
}

function didYouMean(name: string, known: readonly string[]): string {
  const nearest = known.map((k) => ({ k, d: distance(name, k) })).sort((a, b) => a.d - b.d)[0]
  return nearest && nearest.d <= 4 ? ` (did you mean ${nearest.k}?)` : ''
}

/** Levenshtein's edit distance, one row at a time. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

function setting<T>(read: (text: string) => T, doc: string, fallback?: Setting<T>['default']) {
  return { read, doc, ...(fallback === undefined ? {} : { default: fallback }) }
}

function secret<T>(read: (text: string) => T, doc: string) {
  return { read, doc: `${doc} Also as \`…_FILE\`.`, secret: true as const }
}

function text(value: string): string {
  return value
}

/** `[::1]` and `::1` are the same to people, not to sockets. */
function hostName(value: string): string {
  return value.replace(/^\[(.*)\]$/, '$1')
}

function secretText(value: string): string {
  if (Buffer.byteLength(value) < 32) throw new Fault(': must be at least 32 bytes long')
  if (new Set(value).size < 8) throw new Fault(': must be random; try `openssl rand -base64 48`')
  return value
}

function integer(least: number, most: number) {
  return (value: string): number => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= least && number <= most))
      throw new Fault(`: must be a whole number from ${least} to ${most}`)
    return number
  }
}

/** Whole seconds from `90s`, `10m`, `12h` or `30d`. A bare number is refused: its unit would be a guess. */
function duration(least: number, most: number) {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
  return (value: string): number => {
    if (value === '0' && least === 0) return 0
    const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(value) ?? []
    const seconds = Number(count) * (units[unit] ?? Number.NaN)
    if (!(seconds >= least && seconds <= most))
      throw new Fault(`: must be a duration such as 90s, 10m or 1h, from ${least}s to ${most}s`)
    return seconds
  }
}

function oneOf<const T extends string>(...choices: T[]) {
  return (value: string): T => {
    const choice = choices.find((c) => c === value)
    if (choice === undefined) throw new Fault(`: must be one of ${choices.join(', ')}`)
    return choice
  }
}

function flag(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new Fault(': must be true or false')
  return value === 'true'
}

function databaseUrl(value: string): string {
  if (!/^(?:file:.|https?:\/\/.|libsql:\/\/.)/.test(value))
    throw new Fault(': must start with file:, http://, https:// or libsql://')
  if (!(value.startsWith('file:') ? isDecodable(value) : URL.canParse(value)))
    throw new Fault(': is not a URL')
  if (/[?&]authToken=|\/\/[^/]*@/i.test(value))
    throw new Fault(
      `: must hold no token or password; that is what ${PREFIX}DATABASE_AUTH_TOKEN is for`,
    )
  return value
}

/** A lone percent sign in a path is written %25. */
function isDecodable(value: string): boolean {
  try {
    decodeURIComponent(value)
    return true
  } catch {
    return false
  }
}

/** An issuer is compared byte for byte, so only one spelling of it is accepted. */
function webUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const plain = value.replace(/\/$/, '')
  if (
    !url ||
    !/^https?:$/.test(url.protocol) ||
    url.href.replace(/\/$/, '') !== plain ||
    /[?#@]/.test(plain)
  )
    throw new Fault(': must be an http(s) URL without query, fragment or user')
  return plain
}

function headerName(value: string): string {
  if (!/^[a-z0-9-]{1,64}$/i.test(value)) throw new Fault(': must be the name of a header')
  return value.toLowerCase()
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function origins(value: string): readonly string[] {
  for (const origin of list(value))
    if (origin !== ANY_LOCALHOST && (!URL.canParse(origin) || new URL(origin).origin !== origin))
      throw new Fault(
        ': must be exact origins such as https://app.example.com, separated by commas',
      )
  return list(value)
}

function networks(value: string): BlockList {
  const result = new BlockList()
  for (const network of list(value)) addNetwork(result, network)
  return result
}

function addNetwork(result: BlockList, network: string): void {
  const [address = '', bits, ...rest] = network.split('/')
  const family = isIP(address)
  const size = family === 4 ? 32 : 128
  const prefix = bits === undefined ? size : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
  if (family === 0 || rest.length > 0 || !(prefix <= size))
    throw new Fault(': must be addresses or networks such as 10.0.0.0/8, separated by commas')
  result.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
}
