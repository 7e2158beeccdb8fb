// The settings: what is read, what is refused, and that every fault is told at once without a value.

import { describe, expect, test } from 'bun:test'
import type { Mode, Settings } from './config.ts'
import { ConfigFaults, readSettings } from './config.ts'
import { textOf } from './platform/utf8.ts'

const SECRET = 'Zm9yIHRlc3RzIG9ubHksIG5vdCBhIHNlY3JldA'
const OTHER_SECRET = 'b3RoZXIsIGZvciB0ZXN0cyBvbmx5LCB0b28gLi4u'
const SERVE = { MUNJIGI_SECRET: SECRET, MUNJIGI_ISSUER_URL: 'https://auth.example.com' }

function read(
  mode: Mode,
  environment: Record<string, string>,
  files: Record<string, string> = {},
): Settings {
  const readFile = (path: string) => {
    const text = files[path]
    if (text === undefined)
      throw Object.assign(new Error(`no such file ${path}`), { code: 'ENOENT' })
    return text
  }
  return readSettings(mode, { environment, readFile, onTerminal: false })
}

function faults(
  mode: Mode,
  environment: Record<string, string>,
  files: Record<string, string> = {},
): readonly string[] {
  try {
    read(mode, environment, files)
    return []
  } catch (error) {
    if (error instanceof ConfigFaults) return error.faults
    throw error
  }
}

describe('defaults', () => {
  test('dev needs nothing', () => {
    expect(read('dev', {})).toMatchObject({
      host: '127.0.0.1',
      port: 3000,
      metricsPort: 9464,
      databaseUrl: 'file:./data/munjigi.db',
      accessTokenTtl: 600,
      messageLanguage: 'ko',
      graphiql: true,
      introspection: true,
      drainSeconds: 0,
      corsOrigins: ['http://localhost:*'],
    })
  })
  test('serve needs a secret and an issuer, and shows nothing by default', () => {
    expect(faults('serve', {})).toEqual([
      'MUNJIGI_SECRET: is required by serve',
      'MUNJIGI_ISSUER_URL: is required by serve',
    ])
    expect(read('serve', SERVE)).toMatchObject({
      mode: 'serve',
      secret: SECRET,
      issuerUrl: SERVE.MUNJIGI_ISSUER_URL,
      graphiql: false,
      introspection: false,
      drainSeconds: 6,
      corsOrigins: [],
      logFormat: 'json',
    })
  })
  test('an empty variable counts as not set', () => {
    expect(read('dev', { MUNJIGI_PORT: '', MUNJIGI_LOG_LEVEL: '' })).toMatchObject({
      port: 3000,
      logLevel: 'info',
    })
  })
  test('the metrics host follows the host', () => {
    expect(read('dev', { MUNJIGI_HOST: '0.0.0.0' }).metricsHost).toBe('0.0.0.0')
  })
  test('PORT without prefix is honoured, and loses against the one with it', () => {
    expect(read('dev', { PORT: '4000' }).port).toBe(4000)
    expect(read('dev', { PORT: '4000', MUNJIGI_PORT: '5000' }).port).toBe(5000)
    const wrong = ': must be a whole number from 0 to 65535'
    expect(faults('dev', { PORT: 'tcp://10.0.0.1' })).toEqual([`PORT${wrong}`])
    expect(faults('dev', { PORT: '4000', MUNJIGI_PORT: 'x' })).toEqual([`MUNJIGI_PORT${wrong}`])
  })
  test('dev on a terminal speaks to people unless told otherwise', () => {
    const onTerminal = (environment: Record<string, string>, mode: Mode = 'dev') =>
      readSettings(mode, { environment, readFile: () => '', onTerminal: true }).logFormat
    expect(onTerminal({})).toBe('pretty')
    expect(onTerminal({ MUNJIGI_LOG_FORMAT: 'json' })).toBe('json')
    expect(onTerminal(SERVE, 'serve')).toBe('json')
  })
})

test('peers are addresses and networks, of both families', () => {
  const { trustedPeers } = read('dev', {
    MUNJIGI_TRUSTED_PEERS: '192.0.2.1, 10.0.0.0/8,198.51.100.7/32,::1,fd00::/8',
  })
  const trusted = ['192.0.2.1', '10.255.0.1', '198.51.100.7', '::1', 'fd00::1']
  const others = ['192.0.2.2', '11.0.0.1', '198.51.100.8', '::2', 'fe00::1']
  const isTrusted = (address: string) =>
    trustedPeers.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
  expect([...trusted, ...others].filter(isTrusted)).toEqual(trusted)
})

test('the header that names the client may be written in either case', () => {
  const environment = { MUNJIGI_TRUSTED_PEERS: '::1', MUNJIGI_CLIENT_ADDRESS_HEADER: 'X-Real-IP' }
  expect(read('dev', environment).clientAddressHeader).toBe('X-Real-IP')
})

test('nobody changes what was read', () => {
  expect(Object.isFrozen(read('dev', {}))).toBe(true)
})

describe('values', () => {
  test.each([
    ['ACCESS_TOKEN_TTL', '90s', 'accessTokenTtl', 90],
    ['ACCESS_TOKEN_TTL', '1h', 'accessTokenTtl', 3600],
    ['ACCESS_TOKEN_TTL', '1d', 'accessTokenTtl', 86_400],
    ['REFRESH_GRACE', '0', 'refreshGrace', 0],
    ['ISSUER_URL', 'https://auth.example.com/', 'issuerUrl', 'https://auth.example.com'],
    [
      'CORS_ORIGINS',
      'https://a.example, https://b.example',
      'corsOrigins',
      ['https://a.example', 'https://b.example'],
    ],
    [
      'CORS_ORIGINS',
      'capacitor://localhost,chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb,tauri://localhost:8',
      'corsOrigins',
      [
        'capacitor://localhost',
        'chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb',
        'tauri://localhost:8',
      ],
    ],
    ['GRAPHIQL', 'false', 'graphiql', false],
    ['PORT', '0', 'port', 0],
    ['HOST', '[::1]', 'host', '::1'],
    ['DATABASE_URL', 'file:./a%3Fb%23.db', 'databaseUrl', 'file:./a%3Fb%23.db'],
    ['DATABASE_URL', 'file:///data/100%25.db', 'databaseUrl', 'file:///data/100%25.db'],
  ] as const)('MUNJIGI_%s=%s', (name, text, key, expected) => {
    expect(read('dev', { [`MUNJIGI_${name}`]: text })[key]).toEqual(expected as never)
  })

  test.each([
    ['PORT', '65536', /whole number from 0 to 65535/],
    ['PORT', '3000x', /whole number/],
    ['PORT', '-1', /whole number/],
    ['PORT', '1e3', /whole number/],
    ['ACCESS_TOKEN_TTL', '600', /duration such as/],
    ['ACCESS_TOKEN_TTL', '10M', /duration such as/],
    ['ACCESS_TOKEN_TTL', '2d', /duration such as/],
    ['ACCESS_TOKEN_TTL', '1s', /duration such as/],
    ['ACCESS_TOKEN_TTL', '0', /duration such as/],
    ['SIGNING_ALGORITHM', 'HS256', /one of ES256, EdDSA, RS256/],
    ['MESSAGE_LANGUAGE', 'fr', /one of ko, en/],
    ['GRAPHIQL', 'yes', /true or false/],
    ['PASSWORD_MIN_LENGTH', '7', /from 8 to 64/],
    ['DATABASE_URL', 'postgres://x', /must start with file:/],
    ['DATABASE_URL', 'file:', /must start with file:/],
    ['ISSUER_URL', 'auth.example.com', /http\(s\) URL/],
    ['ISSUER_URL', 'ftp://auth.example.com', /http\(s\) URL/],
    ['ISSUER_URL', 'https://auth.example.com/?a=b', /http\(s\) URL/],
    ['ISSUER_URL', 'https://auth.example.com ', /http\(s\) URL/],
    ['ISSUER_URL', 'https:auth.example.com', /http\(s\) URL/],
    ['ISSUER_URL', 'https://Auth.example.com', /the host in lower case/],
    ['ISSUER_URL', 'https://auth.example.com:443', /no default port/],
    ['ISSUER_URL', 'https://인증.한국', /xn--/],
    ['ISSUER_URL', 'https://:pw@auth.example.com', /http\(s\) URL/],
    ['ISSUER_URL', 'https://auth.example.com?', /http\(s\) URL/],
    ['ISSUER_URL', 'https://auth.example.com,login.example.com', /one http\(s\) URL/],
    ['DATABASE_URL', 'https://db.example.com?authToken=x', /no token/],
    ['DATABASE_URL', 'https://kim:x@db.example.com', /no token/],
    ['DATABASE_URL', 'http://a b', /not a URL/],
    ['DATABASE_URL', 'file:./100%.db', /not a URL/],
    ['DATABASE_URL', 'file://data/munjigi.db', /not a URL/],
    ['DATABASE_URL', 'file:///data%2Fmunjigi.db', /not a URL/],
    ['DATABASE_URL', 'file:./a%00.db', /not a URL/],
    ['DATABASE_URL', 'file:./munjigi.db?mode=ro', /path of a file/],
    ['DATABASE_URL', 'file:./a#b.db', /path of a file/],
    ['DATABASE_URL', 'file::memory:', /path of a file/],
    ['DATABASE_URL', 'file::memory:?cache=shared', /path of a file/],
    ['DATABASE_READ_URL', 'http://replica.example.com', /needs a server in MUNJIGI_DATABASE_URL/],
    ['DATABASE_READ_URL', 'file:./copy.db', /must be a server/],
    ['DATABASE_READ_URL', 'https://kim:x@db.example.com', /no token/],
    ['CORS_ORIGINS', '*', /exact origins/],
    ['CORS_ORIGINS', 'https://a.example/', /exact origins/],
    ['CORS_ORIGINS', 'null', /exact origins/],
    ['CORS_ORIGINS', 'https://*.example.com', /exact origins/],
    ['CORS_ORIGINS', 'capacitor://localhost/', /exact origins/],
    ['CORS_ORIGINS', 'file://', /exact origins/],
    ['CORS_ORIGINS', 'https://가게.한국', /xn--/],
    ['TRUSTED_PEERS', '10.0.0.0/33', /addresses or networks/],
    ['TRUSTED_PEERS', '10.0.0.0/8/8', /addresses or networks/],
    ['TRUSTED_PEERS', '10.0.0.0/-1', /addresses or networks/],
    ['TRUSTED_PEERS', 'edge', /addresses or networks/],
    ['SECRET', 'short', /at least 32 bytes/],
    ['SECRET', 'a'.repeat(64), /must be random/],
    ['SECRET', 'letmein'.repeat(8), /must be random/],
    ['CLIENT_ADDRESS_HEADER', 'x-real-ip', /needs MUNJIGI_TRUSTED_PEERS/],
    ['PASSWORD_ENGINE', 'node', /one of bun, native/],
    ['PASSWORD_HASH_PASSES', '1', /2 with 19 MiB/],
    ['PASSWORD_BREACH_URL', 'ftp://example.com', /http\(s\) URL/],
    ['THROTTLE_USER_LIMIT', '54', /a fifth of it/],
    ['THROTTLE_USER_ATTEMPTS', '20', /whole number from 0 to 19/],
  ])('MUNJIGI_%s=%s is refused', (name, text, expected) => {
    const found = faults('dev', { [`MUNJIGI_${name}`]: text })
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(expected)
    expect(found[0]).toStartWith(`MUNJIGI_${name}:`)
  })

  test('networks that cannot be read are not reported as missing, too', () => {
    const environment = {
      MUNJIGI_TRUSTED_PEERS: 'edge',
      MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-real-ip',
    }
    expect(faults('dev', environment)).toEqual([
      expect.stringMatching(/^MUNJIGI_TRUSTED_PEERS: must be addresses/),
    ])
  })
})

describe('a secret from a file', () => {
  test('is read without its last line break', () => {
    expect(
      read(
        'serve',
        { MUNJIGI_SECRET_FILE: '/run/s', MUNJIGI_ISSUER_URL: SERVE.MUNJIGI_ISSUER_URL },
        { '/run/s': `${SECRET}\n` },
      ).secret,
    ).toBe(SECRET)
  })
  test('of the database is read to the byte, except for that line break', () => {
    const environment = { MUNJIGI_DATABASE_AUTH_TOKEN_FILE: '/run/t' }
    for (const end of ['', '\n', '\r\n'])
      expect(read('dev', environment, { '/run/t': ` a token\n ${end}` }).databaseAuthToken).toBe(
        ' a token\n ',
      )
  })
  test.each(['\ufeffa token', 'a\ntoken', '토큰'])(
    'of the database that no header can hold is a fault: %j',
    (token) => {
      const environment = { MUNJIGI_DATABASE_AUTH_TOKEN_FILE: '/run/t' }
      expect(faults('dev', environment, { '/run/t': token })).toEqual([
        'MUNJIGI_DATABASE_AUTH_TOKEN: must be one line of plain ASCII',
      ])
    },
  )
  test('that cannot be read is a fault that names the setting', () => {
    expect(faults('dev', { MUNJIGI_SECRET_FILE: '/nope' })).toEqual([
      'MUNJIGI_SECRET_FILE: cannot read the file it names (ENOENT)',
    ])
  })
  test('together with the variable itself is a fault', () => {
    expect(
      faults(
        'dev',
        { MUNJIGI_SECRET_FILE: '/run/s', MUNJIGI_SECRET: SECRET },
        { '/run/s': SECRET },
      )[0],
    ).toMatch(/not both/)
  })
  test.each(['next', 'previous'])(
    'holds two while it is replaced: the %s one is accepted beside it',
    (word) => {
      const text = `${SECRET}\n${word} ${OTHER_SECRET}\n`
      const environment = { ...SERVE, MUNJIGI_SECRET: '', MUNJIGI_SECRET_FILE: '/run/s' }
      const { secret, secretPrevious } = read('serve', environment, { '/run/s': text })
      expect([secret, secretPrevious]).toEqual([SECRET, OTHER_SECRET])
    },
  )
  test.each([
    ['line breaks of Windows', SECRET, '\r\n'],
    ['a first one of several lines', `${SECRET}\n${SECRET}`, '\n'],
  ])('holds the same two with %s', (_, secret, end) => {
    const text = `${secret}${end}next ${OTHER_SECRET}${end}`
    expect(read('dev', { MUNJIGI_SECRET_FILE: '/run/s' }, { '/run/s': text })).toMatchObject({
      secret,
      secretPrevious: OTHER_SECRET,
    })
  })
  test.each([
    ['SECRET', '; use `openssl rand -base64 48`'],
    ['DATABASE_AUTH_TOKEN', ''],
  ])('that is not text is a fault, not a text of other signs: %s', (name, advice) => {
    const environment = { [`MUNJIGI_${name}_FILE`]: '/run/s' }
    const readFile = () => textOf(Buffer.alloc(48, 0xff))
    expect(() => readSettings('dev', { environment, readFile, onTerminal: false })).toThrow(
      `MUNJIGI_${name}_FILE: is not text${advice}`,
    )
  })
  test('of any other form is one secret, to the byte', () => {
    for (const text of [`${SECRET}\n${OTHER_SECRET}`, `${SECRET}\n\n`, `next ${SECRET}`])
      expect(
        read('dev', { MUNJIGI_SECRET_FILE: '/run/s' }, { '/run/s': `${text}\n` }),
      ).toMatchObject({
        secret: text,
        secretPrevious: undefined,
      })
  })
  test.each([
    ['MUNJIGI_SECRET_PREVIOUS', OTHER_SECRET],
    ['MUNJIGI_SECRET_PREVIOUS_FILE', '/run/s'],
  ])('that holds two leaves no room for a third in %s', (name, value) => {
    const text = `${SECRET}\nnext ${OTHER_SECRET}\n`
    const environment = { MUNJIGI_SECRET_FILE: '/run/s', [name]: value }
    expect(faults('dev', environment, { '/run/s': text })).toEqual([
      'MUNJIGI_SECRET_PREVIOUS: must not be set, as the file of MUNJIGI_SECRET_FILE holds two secrets',
    ])
  })
  test('that is replaced between two readings is read once', () => {
    const texts = [`${SECRET}\nnext ${OTHER_SECRET}\n`, `${OTHER_SECRET}\nprevious ${SECRET}\n`]
    const readFile = () => texts.shift() ?? ''
    const environment = { MUNJIGI_SECRET_FILE: '/run/s' }
    const settings = readSettings('dev', { environment, readFile, onTerminal: false })
    expect([settings.secret, settings.secretPrevious]).toEqual([SECRET, OTHER_SECRET])
  })
  test('that is empty is a fault', () => {
    for (const text of ['', '\n', ' \n'])
      expect(
        faults(
          'serve',
          { ...SERVE, MUNJIGI_SECRET: '', MUNJIGI_SECRET_FILE: '/run/s' },
          { '/run/s': text },
        ),
      ).toEqual(['MUNJIGI_SECRET: must be at least 32 bytes long'])
  })
  test('is only for secrets', () => {
    expect(faults('dev', { MUNJIGI_PORT_FILE: '/run/port' })[0]).toMatch(/unknown setting/)
  })
})

describe('unknown names', () => {
  test.each([
    ['MUNJIGI_ACESS_TOKEN_TTL', 'MUNJIGI_ACCESS_TOKEN_TTL'],
    ['MUNJIGI_SECRET_FIEL', 'MUNJIGI_SECRET_FILE'],
    ['MUNJIGI_PROT', 'MUNJIGI_PORT'],
  ])('%s: did you mean %s?', (wrong, right) => {
    expect(faults('dev', { [wrong]: 'x' })).toEqual([
      `${wrong}: unknown setting (did you mean ${right}?)`,
    ])
  })
  test('far from all others: no guess', () => {
    expect(faults('dev', { MUNJIGI_SOMETHING_ELSE: 'x' })).toEqual([
      'MUNJIGI_SOMETHING_ELSE: unknown setting',
    ])
  })
  test('of other programs are none of our business, and one without a value is not set', () => {
    expect(faults('dev', { MUNJI: 'x', PATH: '/bin', MUNJIGI_NOPE: '' })).toEqual([])
  })
})

test('the metrics never share the public port', () => {
  expect(faults('dev', { MUNJIGI_PORT: '4000', MUNJIGI_METRICS_PORT: '4000' })).toEqual([
    'MUNJIGI_METRICS_PORT: must not be the public port',
  ])
  // Any free one, twice.
  expect(faults('dev', { MUNJIGI_PORT: '0', MUNJIGI_METRICS_PORT: '0' })).toEqual([])
  // Two that are none are two faults.
  expect(faults('dev', { MUNJIGI_PORT: '-1', MUNJIGI_METRICS_PORT: '-1' })).toEqual([
    'MUNJIGI_PORT: must be a whole number from 0 to 65535',
    'MUNJIGI_METRICS_PORT: must be a whole number from 0 to 65535',
  ])
})

test('all faults are told at once, one line each, and no value of a secret', () => {
  const wrong = {
    MUNJIGI_PORT: 'x',
    MUNJIGI_SECRET: 'sentinel',
    MUNJIGI_GRAPHIQL: 'sentinel',
    MUNJIGI_FOO: 'sentinel',
  }
  const found = faults('dev', wrong)
  expect(found).toHaveLength(4)
  expect(found.join('\n')).not.toContain('sentinel')
  expect(new ConfigFaults(found).message).toStartWith('Configuration has 4 problem(s):\n  MUNJIGI_')
})
