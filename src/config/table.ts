// The settings, one row each: default, meaning, and how the text becomes a value. The README's table is made from it.

import {
  ANY_LOCALHOST,
  databaseUrl,
  duration,
  flag,
  headerName,
  headerValue,
  hostName,
  integer,
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
  readonly default?: string | { readonly dev?: string; readonly serve?: string }
  readonly doc: string
  readonly secret?: true
  readonly read: (text: string) => T
}

/** Names are given without their prefix `MUNJIGI_`. */
export const SETTINGS = {
  HOST: setting(hostName, 'The address to listen on (0.0.0.0 in the image).', '127.0.0.1'),
  PORT: setting(
    integer(0, 65_535),
    'The public port; 0 takes any free one. `PORT` without prefix is honoured too. Only `dev` moves on to the next free port.',
    '3000',
  ),
  METRICS_HOST: setting(hostName, 'The address for `/metrics`. When not set: as `MUNJIGI_HOST`.'),
  METRICS_PORT: setting(integer(0, 65_535), 'The port for `/metrics`; never publish it.', '9464'),
  DATABASE_URL: setting(
    databaseUrl,
    'Where the data is: `file:`, `http(s):` or `libsql:`.',
    'file:./data/munjigi.db',
  ),
  DATABASE_READ_URL: setting(
    serverUrl,
    'A read replica of that libSQL server, with the same token, for reads that may be a few seconds old (docs/scaling.md). When not set: none is used.',
  ),
  DATABASE_AUTH_TOKEN: secret(headerValue, 'The token for a libSQL server.'),
  SECRET: secret(
    secretText,
    'At least 32 random bytes from which all keys are derived; replace it only in steps (docs/operations.md). `dev` makes one beside the database; `serve` demands it.',
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
    'A session expires when it has not been refreshed for this long.',
    '30d',
  ),
  SESSION_MAX_TTL: setting(
    duration(60, 365 * 86_400),
    'No session lives longer than this, however often it is refreshed.',
    '90d',
  ),
  REFRESH_GRACE: setting(
    duration(0, 300),
    'How long the refresh token used last may be used again and gives the same successor, in case the answer was lost. Set it longer for mobile apps.',
    '30s',
  ),
  MAX_SESSIONS: setting(
    integer(1, 10_000),
    'How many sessions a user may hold. Opening one more ends the oldest.',
    '100',
  ),
  JWKS_MAX_AGE: setting(
    duration(1, 86_400),
    'How long others may cache the public keys. A new key is published at least this long before it signs.',
    '5m',
  ),
  KEY_ROTATION: setting(
    duration(0, 3_650 * 86_400),
    'The age at which the signing key is replaced by a new one; `0`: only by command.',
    '90d',
  ),
  SECRET_PREVIOUS: secret(
    secretText,
    'A second secret that is also accepted while the secret is being replaced (docs/operations.md).',
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
    'MiB of memory for one argon2id hash. When memory or passes have changed, passwords are rehashed at the next login.',
    '19',
  ),
  PASSWORD_HASH_PASSES: setting(
    integer(1, 10),
    'Passes over that memory. At least what OWASP asks for: 46 MiB and 1, 19 and 2, 12 and 3, 9 and 4, or 7 and 5.',
    '2',
  ),
  PASSWORD_BREACH_URL: setting(
    webUrl,
    'Where to ask whether a new password is known from a breach, e.g. `https://api.pwnedpasswords.com/range`. Only five digits of its SHA-1 are sent. When not set: nobody is asked.',
  ),
  PASSWORD_HASH_CONCURRENCY: setting(
    integer(1, 1_024),
    'How many passwords are hashed at once. When not set: as many as there are cores.',
  ),
  THROTTLE_USER_ATTEMPTS: setting(
    integer(0, 100),
    'Wrong passwords for one user before each further attempt has to wait. The right password resets the count. `0`: no such throttle.',
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
    'Wrong passwords in a row for one user after which no further attempt is allowed until they are forgotten. A fifth of them is reserved for addresses that the user has logged in from; that fifth must be more than `MUNJIGI_THROTTLE_USER_ATTEMPTS`.',
    '100',
  ),
  THROTTLE_USER_MEMORY: setting(
    duration(60, 365 * 86_400),
    'Wrong passwords are forgotten this long after the last one.',
    '24h',
  ),
  THROTTLE_ADDRESS_ATTEMPTS: setting(
    integer(0, 1_000_000),
    'How many wrong passwords may come at once from one address (IPv6: from one /64). `0`: no such throttle.',
    '100',
  ),
  THROTTLE_ADDRESS_INTERVAL: setting(
    duration(1, 86_400),
    'After that, one per interval of this length.',
    '10s',
  ),
  THROTTLE_SIGNUP_ATTEMPTS: setting(
    integer(0, 1_000_000),
    'How many signups may come at once from one address, failed ones included. `0`: no such throttle.',
    '20',
  ),
  THROTTLE_SIGNUP_INTERVAL: setting(
    duration(1, 86_400),
    'After that, one per interval of this length.',
    '1m',
  ),
  CLIENT_ADDRESS_HEADER: setting(
    headerName,
    'The header in which the edge reports the client, e.g. `x-envoy-external-address`: an address without a port; of a list, the last is taken. Needs `MUNJIGI_TRUSTED_PEERS`.',
  ),
  TRUSTED_PEERS: setting(
    networks,
    'The edge: addresses or networks whose `x-request-id` and client address are believed, separated by commas.',
    '',
  ),
  CORS_ORIGINS: setting(origins, 'The exact browser origins that may call, separated by commas.', {
    dev: ANY_LOCALHOST,
    serve: '',
  }),
  GRAPHIQL: setting(flag, 'Whether `GET /graphql` shows GraphiQL to browsers.', {
    dev: 'true',
    serve: 'false',
  }),
  INTROSPECTION: setting(flag, 'Whether introspection queries are answered.', {
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
    'json: one object a line. pretty: for people; what `dev` uses on a terminal unless this is set.',
    'json',
  ),
  DRAIN_SECONDS: setting(
    integer(0, 300),
    'How long to serve on after SIGTERM, so that the edge can send traffic elsewhere.',
    { dev: '0', serve: '6' },
  ),
} as const satisfies Record<string, Setting<unknown>>

/** The name of a setting, without its prefix. */
export type Name = keyof typeof SETTINGS

/** All names, in the order of the table. */
export const NAMES = Object.keys(SETTINGS) as Name[]

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

function setting<T>(read: (text: string) => T, doc: string, fallback?: Setting<T>['default']) {
  return { read, doc, ...(fallback === undefined ? {} : { default: fallback }) }
}

function secret<T>(read: (text: string) => T, doc: string) {
  return { read, doc: `${doc} Also as \`…_FILE\`.`, secret: true as const }
}
