// The settings, one row each: default, meaning, and how the text becomes a value. The names of the variables, the types that the
// code sees and the README's table follow from it.

import {
  ANY_LOCALHOST,
  databaseUrl,
  duration,
  flag,
  headerName,
  headerValue,
  hostName,
  integer,
  LONGEST_LIFE,
  networks,
  oneOf,
  origins,
  PREFIX,
  secretText,
  serverUrl,
  text,
  webUrl,
} from './values.ts'

/** One row of the table: what the README prints and how the text becomes a value. `read` throws a `Fault`. */
export interface Setting<T> {
  readonly default?: string | { readonly dev: string; readonly serve: string }
  readonly doc: string
  readonly secret?: true
  readonly read: (text: string) => T
}

/** By their names in the code: `accessTokenTtl` is the variable `MUNJIGI_ACCESS_TOKEN_TTL`. Durations are seconds. */
export const SETTINGS = {
  host: setting(hostName, 'The address to listen on (0.0.0.0 in the image).', '127.0.0.1'),
  port: setting(
    integer(0, 65_535),
    'The public port; 0 takes any free one. `PORT` without prefix is honoured too. Only `dev` moves on to the next free port.',
    '3000',
  ),
  metricsHost: optional(hostName, 'The address for `/metrics`. When not set: as `MUNJIGI_HOST`.'),
  metricsPort: setting(integer(0, 65_535), 'The port for `/metrics`; never publish it.', '9464'),
  databaseUrl: setting(
    databaseUrl,
    'Where the data is: `file:`, `http(s):` or `libsql:`.',
    'file:./data/munjigi.db',
  ),
  databaseReadUrl: optional(
    serverUrl,
    'A read replica of that libSQL server, with the same token, for reads that may be a few seconds old (docs/scaling.md). When not set: none is used.',
  ),
  databaseAuthToken: secret(headerValue, 'The token for a libSQL server.'),
  secret: secret(
    secretText,
    'At least 32 random bytes from which all keys are derived; replace it only in steps (docs/operations.md). `dev` makes one beside the database; `serve` demands it.',
  ),
  issuerUrl: optional(
    webUrl,
    'The `iss` of every token: the public URL of this service. `dev` uses the URL it listens on; `serve` demands it.',
  ),
  tokenAudience: setting(text, 'The `aud` of every token.', 'munjigi'),
  signingAlgorithm: setting(
    oneOf('ES256', 'EdDSA', 'RS256'),
    'How access tokens are signed: ES256, EdDSA or RS256.',
    'ES256',
  ),
  accessTokenTtl: setting(
    duration(10, LONGEST_LIFE),
    'How long an access token is valid: `90s`, `10m`, `1h`.',
    '10m',
  ),
  sessionIdleTtl: setting(
    duration(60, 365 * 86_400),
    'A session expires when it has not been refreshed for this long. A change holds for each session from its next refresh on.',
    '30d',
  ),
  sessionMaxTtl: setting(
    duration(60, 365 * 86_400),
    'No session lives longer than this, however often it is refreshed. A change holds for sessions opened after it.',
    '90d',
  ),
  refreshGrace: setting(
    duration(0, 300),
    'How long the refresh token used last may be used again and gives the same successor, in case the answer was lost. Set it longer for mobile apps.',
    '30s',
  ),
  maxSessions: setting(
    integer(1, 10_000),
    'How many sessions a user may hold. Opening one more ends the oldest.',
    '100',
  ),
  jwksMaxAge: setting(
    duration(1, 86_400),
    'How long others may cache the public keys. A new key is published at least this long before it signs.',
    '5m',
  ),
  keyRotation: setting(
    duration(0, 3_650 * 86_400),
    'The age at which the signing key is replaced by a new one; `0`: only by command.',
    '90d',
  ),
  secretPrevious: secret(
    secretText,
    'A second secret that is also accepted while the secret is being replaced (docs/operations.md).',
  ),
  messageLanguage: setting(oneOf('ko', 'en'), 'The language of messages: ko or en.', 'ko'),
  passwordMinLength: setting(
    integer(8, 64),
    'The shortest password accepted, in code points. NIST SP 800-63B-4 demands 15 where the password stands alone; ASVS asks for 8.',
    '8',
  ),
  passwordEngine: setting(
    oneOf('bun', 'native'),
    'What computes the hashes: bun, or native (the optional package `@node-rs/argon2`): the same hashes for less than half of the CPU.',
    'bun',
  ),
  passwordHashMemory: setting(
    integer(7, 256),
    'MiB of memory for one argon2id hash. When memory or passes have changed, passwords are rehashed at the next login.',
    '19',
  ),
  passwordHashPasses: setting(
    integer(1, 10),
    'Passes over that memory. At least what OWASP asks for: 46 MiB and 1, 19 and 2, 12 and 3, 9 and 4, or 7 and 5.',
    '2',
  ),
  passwordBreachUrl: optional(
    webUrl,
    'Where to ask whether a new password is known from a breach, e.g. `https://api.pwnedpasswords.com/range`. Only five digits of its SHA-1 are sent. When not set: nobody is asked.',
  ),
  passwordHashConcurrency: optional(
    integer(1, 1_024),
    'How many passwords are hashed at once. When not set: as many as there are cores. More are no faster, and while many log in everything else waits seconds for them.',
  ),
  throttleUserAttempts: setting(
    // A fifth of the highest limit has to be more.
    integer(0, 19),
    'Wrong passwords for one user before each further attempt has to wait. The right password resets the count. `0`: no such throttle.',
    '10',
  ),
  throttleUserDelay: setting(
    duration(1, 3_600),
    'The first wait. It doubles with every further wrong password.',
    '1s',
  ),
  throttleUserMaxDelay: setting(duration(1, 86_400), 'The longest wait.', '15m'),
  throttleUserLimit: setting(
    integer(10, 100),
    'Wrong passwords in a row for one user after which no further attempt is allowed until they are forgotten. A fifth of them is reserved for addresses that the user has logged in from, and a fifth for clients with a valid token; a fifth must be more than `MUNJIGI_THROTTLE_USER_ATTEMPTS`.',
    '100',
  ),
  throttleUserMemory: setting(
    duration(60, 365 * 86_400),
    'Wrong passwords are forgotten this long after the last one.',
    '24h',
  ),
  throttleAddressAttempts: setting(
    integer(0, 1_000_000),
    'How many wrong passwords may come at once from one address (IPv6: from one /64). `0`: no such throttle.',
    '100',
  ),
  throttleAddressInterval: setting(
    duration(1, 86_400),
    'After that, one per interval of this length.',
    '10s',
  ),
  throttleSignupAttempts: setting(
    integer(0, 1_000_000),
    'How many signups may come at once from one address, those of a taken e-mail address included. `0`: no such throttle.',
    '20',
  ),
  throttleSignupInterval: setting(
    duration(1, 86_400),
    'After that, one per interval of this length.',
    '1m',
  ),
  clientAddressHeader: optional(
    headerName,
    'The header in which the edge reports the client, e.g. `x-envoy-external-address`: an address without a port; of a list, the last is taken. Needs `MUNJIGI_TRUSTED_PEERS`.',
  ),
  trustedPeers: setting(
    networks,
    'The edge: addresses or networks whose `x-request-id` and client address are believed, separated by commas.',
    '',
  ),
  corsOrigins: setting(origins, 'The exact browser origins that may call, separated by commas.', {
    dev: ANY_LOCALHOST,
    serve: '',
  }),
  graphiql: setting(flag, 'Whether `GET /graphql` shows GraphiQL to browsers.', {
    dev: 'true',
    serve: 'false',
  }),
  introspection: setting(flag, 'Whether introspection queries are answered.', {
    dev: 'true',
    serve: 'false',
  }),
  logLevel: setting(
    oneOf('debug', 'info', 'warning', 'error'),
    'What is logged: debug, info, warning or error.',
    'info',
  ),
  logFormat: setting(
    oneOf('json', 'pretty'),
    'json: one object a line. pretty: for people; what `dev` uses on a terminal unless this is set.',
    'json',
  ),
  drainSeconds: setting(
    integer(0, 300),
    'How long to serve on after SIGTERM, so that the edge can send traffic elsewhere.',
    { dev: '0', serve: '6' },
  ),
} as const satisfies Record<string, Setting<unknown>>

/** The name of a setting in the code. */
export type Name = keyof typeof SETTINGS

/** What the settings are when none is at fault. `undefined`: not set, and without a default. */
export type Values = { readonly [N in Name]: ValueOf<(typeof SETTINGS)[N]> }

type ValueOf<Row extends Setting<unknown>> = Row extends { readonly default: unknown }
  ? ReturnType<Row['read']>
  : ReturnType<Row['read']> | undefined

/** All names, in the order of the table. */
export const NAMES = Object.keys(SETTINGS) as Name[]

/** The variable that a setting is read from. */
export function variableOf(name: Name): string {
  return PREFIX + name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}

/** The table of the README, in Markdown. */
export function settingsTable(): string {
  const rows = NAMES.map(
    (name) =>
      `| \`${variableOf(name)}\` | ${describeDefault(SETTINGS[name])} | ${SETTINGS[name].doc} |`,
  )
  return ['| Setting | Default | Meaning |', '| --- | --- | --- |', ...rows].join('\n')
}

function describeDefault(row: Setting<unknown>): string {
  const show = (value: string | undefined) => (value ? `\`${value}\`` : '–')
  if (typeof row.default === 'object')
    return `${show(row.default.dev)} under \`dev\`, ${show(row.default.serve)} under \`serve\``
  return show(row.default)
}

function setting<T>(
  read: (text: string) => T,
  doc: string,
  fallback: NonNullable<Setting<T>['default']>,
) {
  return { read, doc, default: fallback }
}

function optional<T>(read: (text: string) => T, doc: string) {
  return { read, doc }
}

function secret<T>(read: (text: string) => T, doc: string) {
  return { read, doc: `${doc} Also as \`…_FILE\`.`, secret: true as const }
}
