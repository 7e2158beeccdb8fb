// The public port: what executes, what is refused and how, what every answer carries.

import { afterEach, describe, expect, jest, test } from 'bun:test'
import { BlockList } from 'node:net'
import type { TestApp } from '../testing/app.ts'
import { createTestApp, KIM, LOGIN, ME, SIGNUP } from '../testing/app.ts'

afterEach(() => void jest.useRealTimers())

const JWKS = '/.well-known/jwks.json'
const RESPONSE_JSON = 'application/graphql-response+json'
const JSON_TYPE = { 'content-type': 'application/json' }
const QUERY = JSON.stringify({ query: '{ __typename }' })

const request = (path: string, init: RequestInit = {}) =>
  new Request(`http://munjigi.test${path}`, init)
const send = (app: TestApp, init: RequestInit, path = '/graphql') =>
  app.fetch(request(path, init), '192.0.2.1')

/** The line of the log on the first request. */
const lineOf = ({ logLines }: TestApp) =>
  JSON.parse(logLines.find((text) => text.includes('http.request')) ?? '{}')

async function codeOf(response: Response): Promise<unknown> {
  const { errors } = (await response.json()) as { errors?: Array<{ extensions: { code: string } }> }
  return errors?.[0]?.extensions.code
}

describe('only POST with application/json executes (ASVS 3.5, CSRF)', () => {
  const login = JSON.stringify({ query: SIGNUP, variables: KIM })
  const form = `query=${encodeURIComponent('{ __typename }')}`
  test.each<[string, RequestInit, number, string]>([
    ['GET with a query', { method: 'GET' }, 405, 'METHOD_NOT_ALLOWED'],
    ['HEAD', { method: 'HEAD' }, 405, ''],
    ['PUT', { method: 'PUT', headers: JSON_TYPE, body: login }, 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', { method: 'DELETE' }, 405, 'METHOD_NOT_ALLOWED'],
    ['PATCH', { method: 'PATCH', headers: JSON_TYPE, body: login }, 405, 'METHOD_NOT_ALLOWED'],
    [
      'a method override',
      { method: 'GET', headers: { 'x-http-method-override': 'POST' } },
      405,
      'METHOD_NOT_ALLOWED',
    ],
    [
      'a form',
      {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: form,
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a multipart form',
      {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=x' },
        body: '--x--',
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'application/graphql',
      {
        method: 'POST',
        headers: { 'content-type': 'application/graphql' },
        body: '{ __typename }',
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'plain text',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: login },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'plain text that mentions JSON',
      {
        method: 'POST',
        headers: { 'content-type': 'text/plain; x=application/json' },
        body: login,
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['no type', { method: 'POST', body: new Blob([login]) }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'JSON in another encoding',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json; charset=utf-16' },
        body: login,
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'compressed JSON',
      {
        method: 'POST',
        headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
        body: Bun.gzipSync(login),
      },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  ])('%s: refused, and nothing happens', async (_, init, status, code) => {
    const app = await createTestApp()
    const response = await send(app, init, init.method === 'GET' ? `/graphql?${form}` : '/graphql')
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toStartWith(RESPONSE_JSON)
    expect(response.headers.get('allow')).toBe(status === 405 ? 'POST' : null)
    if (code) expect(await codeOf(response)).toBe(code)
    expect(app.events).toEqual([])
  })

  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON;charset=UTF-8',
    'application/json; charset="utf-8"',
  ])('%s executes', async (type) => {
    const app = await createTestApp()
    expect(
      (await send(app, { method: 'POST', headers: { 'content-type': type }, body: QUERY })).status,
    ).toBe(200)
  })
})

describe('a body', () => {
  const post = async (body: BodyInit, headers: Record<string, string> = {}) => {
    const app = await createTestApp()
    const response = await send(app, {
      method: 'POST',
      headers: { ...JSON_TYPE, ...headers },
      body,
    })
    const { errors } = (await response.json()) as {
      errors?: Array<{ extensions: { code: string; field?: string } }>
    }
    return {
      status: response.status,
      ...errors?.map(({ extensions: { code, field } }) => ({ code, field }))[0],
    }
  }
  const query = (over: object) => JSON.stringify({ query: '{ __typename }', ...over })

  test.each<[string, BodyInit, string?]>([
    ['that is empty', ''],
    ['that is cut off', '{"query":"{ __type'],
    ['that is text', 'hello'],
    ['that is null', 'null'],
    ['that is a number', '42'],
    ['that is a batch of two', `[${QUERY},${QUERY}]`],
    ['that is a batch of none', '[]'],
    ['without a query', '{}', 'query'],
    ['with a list for a query', query({ query: ['{ __typename }'] }), 'query'],
    ['with a number for the name of the operation', query({ operationName: 1 }), 'operationName'],
    ['with a list for variables', query({ variables: [] }), 'variables'],
    ['with text for variables', query({ variables: '{}' }), 'variables'],
    ['with text for extensions', query({ extensions: 'x' }), 'extensions'],
    ['that begins with a byte order mark', `\ufeff${QUERY}`],
    [
      'of more than 200 objects, lists and members',
      query({ x: Array(200).fill([]), y: '"'.repeat(999) }),
    ],
    ['in UTF-16', new Uint8Array(Buffer.from(QUERY, 'utf16le'))],
    [
      'with a byte that is not UTF-8',
      new Uint8Array([...Buffer.from('{"query":"{ __typename }","x":"'), 0xff, 0x22, 0x7d]),
    ],
    [
      'with an overlong byte sequence',
      new Uint8Array([...Buffer.from('{"query":"{ __typename }","x":"'), 0xc0, 0xaf, 0x22, 0x7d]),
    ],
    [
      'with a query cut inside a character',
      new Uint8Array(Buffer.from('{"query":"{ 문').subarray(0, -1)),
    ],
    ['that names an unknown operation', query({ operationName: 'Nope' }), 'operationName'],
    [
      'with two operations and no name',
      query({ query: 'query A { __typename } query B { __typename }' }),
      'operationName',
    ],
    [
      'with no operation at all',
      query({ query: 'fragment F on Query { __typename }' }),
      'operationName',
    ],
  ])('%s is BAD_USER_INPUT, 400 for every client', async (_, body, field = 'body') => {
    expect(await post(body)).toEqual({ status: 400, code: 'BAD_USER_INPUT', field })
  })

  test('of 10 MB is refused by its length alone', async () => {
    expect(await post('x'.repeat(10_000_000), { 'content-length': '10000000' })).toEqual({
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
    })
  })

  test('without a length is read to the limit and no further', async () => {
    let sent = 0
    const endless = new ReadableStream({
      pull(controller) {
        sent += 10_000
        controller.enqueue(new TextEncoder().encode(' '.repeat(10_000)))
      },
    })
    expect(await post(endless)).toEqual({ status: 413, code: 'PAYLOAD_TOO_LARGE' })
    expect(sent).toBeLessThan(300_000)
  })

  test('that the client breaks off is its own fault, and no line of the log says otherwise', async () => {
    const app = await createTestApp()
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('gone')) })
    const response = await send(app, { method: 'POST', headers: JSON_TYPE, body: broken })
    expect([response.status, await codeOf(response)]).toEqual([400, 'BAD_USER_INPUT'])
    expect(app.logLines.join()).not.toContain('request.failed')
  })

  test('of exactly 100 KiB executes, of one byte more does not', async () => {
    const padded = (size: number) => `${QUERY}${' '.repeat(size - QUERY.length)}`
    for (const headers of [{}, { 'content-length': '102400' }])
      expect((await post(padded(102_400), headers)).status).toBe(200)
    expect((await post(padded(102_401))).status).toBe(413)
  })

  test('may hold what we do not know, and keys that mean something to JavaScript', async () => {
    const body = `{"query":"{ __typename }","id":"x","__proto__":{"query":"x"},"constructor":1,"variables":{"__proto__":{"a":1}}}`
    expect((await post(body)).status).toBe(200)
  })
})

describe('what a client accepts decides between statuses and 200', () => {
  const both = `${RESPONSE_JSON}, application/json;q=0.9`
  test.each<[string | undefined, boolean]>([
    [undefined, false],
    ['*/*', false],
    ['application/json', false],
    [RESPONSE_JSON, true],
    [both, true],
    [`application/json, ${RESPONSE_JSON}`, true],
    [`application/json;q=0.9, ${RESPONSE_JSON}`, true],
    [`application/json, ${RESPONSE_JSON};q=0.5`, false],
    [`${RESPONSE_JSON};q=0, application/json`, false],
    [`${RESPONSE_JSON.toUpperCase()}`, true],
    ['text/html', false],
    [`${RESPONSE_JSON};q=banana`, false],
    [`${RESPONSE_JSON} ; q=1 , text/html`, true],
  ])('%p', async (accept, statuses) => {
    const app = await createTestApp()
    const headers = accept === undefined ? {} : { accept }
    const invalid = await app.post({ query: '{ nope }' }, headers)
    expect(invalid.status).toBe(statuses ? 400 : 200)
    expect(invalid.headers.get('content-type')).toBe(
      `${statuses ? RESPONSE_JSON : 'application/json'}; charset=utf-8`,
    )
    expect(await invalid.json()).not.toHaveProperty('data')
    const refused = await app.post({ query: ME }, headers)
    expect(refused.status).toBe(200)
    expect(await refused.json()).toHaveProperty('data', null)
  })
})

test('what a client accepts is read once, from end to end, whatever it is made of', async () => {
  const app = await createTestApp()
  // At a cost that is the square of the length this would take hours.
  const headers = { accept: `a${' '.repeat(5_000_000)}x` }
  expect((await app.post({ query: '{ __typename }' }, headers)).status).toBe(200)
})

describe('every answer', () => {
  test.each(['/graphql', '/livez', '/nowhere', '/.well-known/jwks.json'])(
    'of %s carries an id and the headers that browsers need',
    async (path) => {
      const { headers } = await send(await createTestApp(), {}, path)
      expect(headers.get('x-request-id')).toBe('req_1')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; frame-ancestors 'none'",
      )
      expect(headers.get('content-type')).toMatch(/json/)
      expect(headers.get('server')).toBeNull()
    },
  )

  test('may not be stored, but for the public keys', async () => {
    const app = await createTestApp()
    expect((await app.post({ query: ME })).headers.get('cache-control')).toBe('no-store')
    expect((await send(app, {}, '/.well-known/jwks.json')).headers.get('cache-control')).toBe(
      'public, max-age=300',
    )
  })

  test('with an error names the id in it', async () => {
    const { errors, response } = await (await createTestApp()).run(ME)
    expect(errors?.[0]?.extensions['requestId']).toBe(response.headers.get('x-request-id'))
  })

  test('while draining tells client and edge to go elsewhere', async () => {
    const app = await createTestApp()
    app.drain()
    const response = await app.post({ query: '{ __typename }' })
    expect(response.status).toBe(200)
    expect(response.headers.get('connection')).toBe('close')
    expect(response.headers.get('x-envoy-immediate-health-check-fail')).toBe('true')
  })
})

test('the keys are for pages of any origin, and HEAD tells how long they are', async () => {
  const app = await createTestApp()
  const [get, head] = [await send(app, {}, JWKS), await send(app, { method: 'HEAD' }, JWKS)]
  const body = await get.text()
  for (const { status, headers } of [get, head]) {
    expect(status).toBe(200)
    expect(headers.get('access-control-allow-origin')).toBe('*')
    expect(headers.get('content-length')).toBe(String(Buffer.byteLength(body)))
  }
  expect(await head.text()).toBe('')
})

describe('health', () => {
  const ready = async (app: TestApp) => {
    const response = await send(app, {}, '/readyz')
    return [response.status, await response.json()]
  }
  test('is ready only after a write succeeded, and for three seconds after the last one', async () => {
    const app = await createTestApp()
    expect(await ready(app)).toEqual([
      503,
      { status: 'unavailable', failing: ['database', 'ended_sessions'] },
    ])
    await app.start()
    app.stop()
    expect(await ready(app)).toEqual([200, { status: 'ready' }])
    app.clock.advance('3s')
    expect((await ready(app))[0]).toBe(200)
    app.clock.advance('1s')
    expect(await ready(app)).toEqual([
      503,
      { status: 'unavailable', failing: ['database', 'ended_sessions'] },
    ])
  })
  test('is not ready while draining, but alive', async () => {
    const app = await createTestApp()
    await app.start()
    app.stop()
    app.drain()
    expect(await ready(app)).toEqual([503, { status: 'unavailable', failing: ['draining'] }])
    expect((await send(app, {}, '/livez')).status).toBe(200)
  })
})

describe('an unknown path', () => {
  // Some are paths under dev, or on the port of the metrics.
  test.each(['/', '/graphql/', '/GraphQL', '/metrics', '/admin', '/%00', '/..%2fgraphql'])(
    '%s is NOT_FOUND under serve, to GET and to POST',
    async (path) => {
      const app = await createTestApp()
      for (const init of [{}, { method: 'POST', headers: JSON_TYPE, body: QUERY }]) {
        const response = await send(app, init, path)
        expect([response.status, await codeOf(response)]).toEqual([404, 'NOT_FOUND'])
      }
    },
  )
  test('/ says what this is under dev', async () => {
    const response = await send(await createTestApp({ config: { mode: 'dev' } }), {}, '/')
    expect(await response.text()).toContain('/graphql')
  })
})

describe('what is counted and logged of a request', () => {
  const seen = async (method: string, path: string) => {
    const app = await createTestApp({ config: { logLevel: 'info' } })
    const { status } = await send(app, { method }, path)
    const series = (await app.metrics.print()).match(/^http_requests_total\{(.*)\} 1$/m)?.[1]
    const { level, route } = lineOf(app)
    return { status, series, level, route }
  }
  test.each([
    ['GET', '/livez', 200, '/livez', 'debug'],
    ['GET', '/.well-known/jwks.json', 200, '/.well-known/jwks.json', 'info'],
    ['POST', '/graphql', 415, '/graphql', 'info'],
    ['POST', '/livez', 404, '/*', 'info'],
    ['DELETE', '/.well-known/jwks.json', 404, '/*', 'info'],
    ['GET', '/.env', 404, '/*', 'info'],
  ])('%s %s, answered %i, is of the route %s', async (method, path, status, route, level) => {
    const ok = String(status === 200)
    expect(await seen(method, path)).toEqual({
      ...{ status, route, level },
      series: `method="${method}",route="${route}",status="${status}",ok="${ok}"`,
    })
  })

  test('is how long it took: in milliseconds in the log, in seconds in the figures', async () => {
    const app = await createTestApp()
    const body = new ReadableStream(
      {
        pull(controller) {
          app.clock.advance('2s')
          controller.enqueue(new TextEncoder().encode(QUERY))
          controller.close()
        },
      },
      // Not asked for before the request is read.
      { highWaterMark: 0 },
    )
    await send(app, { method: 'POST', headers: JSON_TYPE, body })
    expect(lineOf(app)).toMatchObject({ time: '2026-01-01T00:00:02.000Z', ms: 2_000 })
    expect(await app.metrics.print()).toMatch(/^http_request_duration_seconds_sum\{.*\} 2$/m)
  })
})

describe('a request', () => {
  test('that meets a fault of ours is told only its id, and the log its kind', async () => {
    const fault = new TypeError('what nobody may read')
    const app = await createTestApp({ createServer: () => () => Promise.reject(fault) })
    const { errors, response } = await app.run('{ __typename }')
    expect(response.status).toBe(500)
    const extensions = { code: 'INTERNAL_SERVER_ERROR', requestId: 'req_1' }
    expect(errors?.map((error) => error.extensions)).toEqual([extensions])
    const [line = '{}'] = app.logLines.filter((text) => text.includes('request.failed'))
    expect(JSON.parse(line)).toMatchObject({ requestId: 'req_1', error: 'TypeError' })
    expect(app.logLines.join()).not.toContain('nobody may read')
  })

  test('that takes eight seconds is answered, and told when to come again', async () => {
    jest.useFakeTimers()
    const app = await createTestApp({ createServer: () => () => new Promise(() => {}) })
    const answering = app.run('{ __typename }')
    app.clock.advance('8s')
    jest.advanceTimersByTime(8_000)
    const { response, code } = await answering
    expect([response.status, code]).toEqual([503, 'SERVICE_UNAVAILABLE'])
    expect(response.headers.get('retry-after')).toBe('1')
  })

  test('of a browser gets the page where it is on, and only for a GET that asks for one', async () => {
    const app = await createTestApp({ config: { graphiql: true } })
    const headers = { ...JSON_TYPE, accept: 'text/html' }
    const types = [{ headers }, { method: 'POST', headers, body: QUERY }, {}].map(async (init) =>
      (await send(app, init)).headers.get('content-type'),
    )
    expect(await Promise.all(types)).toEqual([
      expect.stringContaining('text/html'),
      expect.stringContaining('application/json'),
      expect.stringContaining(RESPONSE_JSON),
    ])
  })
})

describe('the metrics port', () => {
  test('answers /metrics and nothing else', async () => {
    const app = await createTestApp()
    expect(await (await app.metricsFetch(request('/metrics'))).text()).toContain(
      'munjigi_build_info{version="test"',
    )
    expect((await app.metricsFetch(request('/graphql'))).status).toBe(404)
  })
})

describe('browsers of other origins', () => {
  const preflight = (origin: string) => ({
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,authorization',
    },
  })
  test.each([
    [[], 'https://evil.example', false],
    [['https://app.example.com'], 'https://app.example.com', true],
    [['https://app.example.com'], 'https://app.example.com.evil.example', false],
    [['https://app.example.com'], 'http://app.example.com', false],
    [['https://app.example.com'], 'null', false],
    [['https://app.example.com'], 'http://localhost:5173', false],
    [['http://localhost:*'], 'http://localhost:5173', true],
    [['http://localhost:*'], 'http://localhost', true],
    [['http://localhost:*'], 'https://localhost:5173', false],
    [['http://localhost:*'], 'http://localhost.evil.example', false],
    [['http://localhost:*'], 'http://localhost:5173@evil.example', false],
  ] as Array<[string[], string, boolean]>)(
    '%p allow %s: %p',
    async (corsOrigins, origin, allowed) => {
      const app = await createTestApp({ config: { corsOrigins } })
      const asked = await send(app, preflight(origin))
      const sent = await app.post({ query: '{ __typename }' }, { origin })
      for (const { headers } of [asked, sent]) {
        expect(headers.get('access-control-allow-origin')).toBe(allowed ? origin : null)
        expect(headers.get('access-control-allow-credentials')).toBeNull()
      }
      if (!allowed) return
      expect(asked.headers.get('access-control-allow-methods')).toBe('POST')
      expect(asked.headers.get('access-control-allow-headers')).toBe('content-type,authorization')
      expect(asked.headers.get('access-control-max-age')).toBe('600')
      expect(sent.headers.get('access-control-expose-headers')).toBe(
        'Retry-After,WWW-Authenticate,X-Request-Id',
      )
    },
  )
})

describe('the client of a request', () => {
  const peers = new BlockList()
  peers.addSubnet('10.0.0.0', 8, 'ipv4')
  const behindEdge = { trustedPeers: peers, clientAddressHeader: 'x-envoy-external-address' }
  const headers = {
    'content-type': 'application/json',
    'x-envoy-external-address': '198.51.100.7',
    'x-forwarded-for': '203.0.113.9',
    'x-request-id': 'edge-0123456789',
  }
  const addressFrom = async (peer: string, sent: Record<string, string>) => {
    const app = await createTestApp({ config: behindEdge })
    const body = JSON.stringify({ query: SIGNUP, variables: KIM })
    const response = await app.fetch(
      request('/graphql', { method: 'POST', headers: sent, body }),
      peer,
    )
    const event = app.events[0] as { clientAddress: string }
    const told = [event.clientAddress, response.headers.get('x-request-id')]
    const { clientAddress, requestId } = lineOf(app)
    expect([clientAddress, requestId]).toEqual(told)
    return told
  }
  test.each<[string, string, Record<string, string>, string, string]>([
    ['is what the edge says', '10.1.2.3', headers, '198.51.100.7', 'edge-0123456789'],
    [
      'is what the edge says over IPv6',
      '::ffff:10.1.2.3',
      headers,
      '198.51.100.7',
      'edge-0123456789',
    ],
    [
      'may be an IPv6 address',
      '10.1.2.3',
      { ...headers, 'x-envoy-external-address': '2001:db8::1' },
      '2001:db8::1',
      'edge-0123456789',
    ],
    [
      'is an IPv4 address however the edge writes it',
      '10.1.2.3',
      { ...headers, 'x-envoy-external-address': '::ffff:198.51.100.7' },
      '198.51.100.7',
      'edge-0123456789',
    ],
    [
      'is the last of a list, the one that the edge has added',
      '10.1.2.3',
      { ...headers, 'x-envoy-external-address': '203.0.113.9, 198.51.100.7' },
      '198.51.100.7',
      'edge-0123456789',
    ],
    [
      'is the peer if the edge says nonsense',
      '10.1.2.3',
      { ...headers, 'x-envoy-external-address': 'a, b', 'x-request-id': 'x y' },
      '10.1.2.3',
      'req_1',
    ],
    [
      'is the peer, and its id ours, if what the edge says is empty or short',
      '10.1.2.3',
      { ...headers, 'x-envoy-external-address': '', 'x-request-id': 'edge-01' },
      '10.1.2.3',
      'req_1',
    ],
    [
      'is what the edge says, but its id ours if that one is endless',
      '10.1.2.3',
      { ...headers, 'x-request-id': 'x'.repeat(129) },
      '198.51.100.7',
      'req_1',
    ],
    ['is the peer, whatever a stranger claims', '192.0.2.1', headers, '192.0.2.1', 'req_1'],
    [
      'is the peer, whatever an unnamed header claims',
      '10.1.2.3',
      { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' },
      '10.1.2.3',
      'req_1',
    ],
  ])('%s', async (_, peer, sent, address, id) => {
    expect(await addressFrom(peer, sent)).toEqual([address, id])
  })
})

describe('a bearer token', () => {
  const fields = { me: ME, login: LOGIN }
  const authenticated = async (header: (token: string) => string) => {
    const app = await createTestApp()
    const { data } = await app.run(SIGNUP, KIM)
    const response = await app.post(
      { query: fields.me },
      { authorization: header(data.signup.tokens.accessToken) },
    )
    return {
      challenge: response.headers.get('www-authenticate'),
      body: (await response.json()) as { data: { me: unknown } | null },
    }
  }
  test.each<[string, (token: string) => string]>([
    ['as the standard writes it', (token) => `Bearer ${token}`],
    ['in lower case', (token) => `bearer ${token}`],
    ['after two spaces', (token) => `Bearer  ${token}`],
  ])('%s is accepted', async (_, header) => {
    expect((await authenticated(header)).body.data).toEqual({
      me: { id: 'usr_1', email: KIM.email },
    })
  })
  test.each<[string, (token: string) => string]>([
    ['sent twice', (token) => `Bearer ${token}, Bearer ${token}`],
    ['beside another one', (token) => `Bearer garbage, Bearer ${token}`],
    ['with something behind it', (token) => `Bearer ${token} x`],
    ['of garbage', () => 'Bearer garbage'],
    ['over 8 KiB', (token) => `Bearer ${token}${'A'.repeat(8_192)}`],
  ])('%s gives nobody, and says the token was invalid', async (_, header) => {
    const { body, challenge } = await authenticated(header)
    expect(body.data).toBeNull()
    expect(challenge).toBe('Bearer error="invalid_token"')
  })
  test.each<[string, (token: string) => string]>([
    ['of another scheme', (token) => `Basic ${token}`],
    ['without a scheme', (token) => token],
    ['of nothing', () => 'Bearer '],
  ])('%s is no bearer token, and gets a plain challenge', async (_, header) => {
    const { body, challenge } = await authenticated(header)
    expect(body.data).toBeNull()
    expect(challenge).toBe('Bearer')
  })
  test('that is absent gives a plain challenge (RFC 6750)', async () => {
    const { response, code } = await (await createTestApp()).run(ME)
    expect([code, response.headers.get('www-authenticate')]).toEqual(['UNAUTHENTICATED', 'Bearer'])
  })
})
