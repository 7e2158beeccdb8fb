// The service as clients meet it: HTTPS by the real Envoy, three real replicas, a real database. What a client may rely on,
// and that each replica gets its share, and that the console tells the truth.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { X509Certificate } from 'node:crypto'
import { connect as connectHttp2 } from 'node:http2'
import { createConnection } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Answer, Target } from './http-client.ts'
import { connect, graphqlRequest, holding, request, sendOnce, startLoad } from './http-client.ts'
import { LOOPBACK } from './ports.ts'
import type { Stack } from './stack.ts'
import { startStack } from './stack.ts'
import { canRunStack } from './tools.ts'
import { until } from './until.ts'

const hasStack = await canRunStack()
const describeStack = describe.skipIf(!hasStack)
setDefaultTimeout(60_000)

const EMAIL = 'kim@example.com'
const CREDENTIALS = `email: "${EMAIL}", password: "correct horse battery staple"`
const SIGNUP = { query: `mutation { signup(${CREDENTIALS}) { tokens { accessToken } } }` }
const LOGIN = {
  query: `mutation { login(${CREDENTIALS}) { __typename ... on AlreadyLoggedIn { message } ... on LoggedIn { tokens { accessToken } } } }`,
}
const ME = { query: '{ me { id email } }' }
const OWN_NAME = 'auth.example.com'

let stack: Stack
let target: Target
let token: string

beforeAll(async () => {
  if (!hasStack) return
  stack = await startStack({
    edge: { hosts: [OWN_NAME] },
    floodLimit: 50_000,
    keepLines: Number.POSITIVE_INFINITY,
    env: { MUNJIGI_THROTTLE_SIGNUP_INTERVAL: '1h' },
  })
  target = { port: stack.ports.https, ca: stack.ca.text }
  token = JSON.parse((await ask(SIGNUP)).body).data.signup.tokens.accessToken
})

afterAll(async () => {
  if (hasStack) await stack.stop()
})

function once(bytes: string, to: Target = target): Promise<Answer> {
  return sendOnce(to, bytes)
}

function ask(body: object, headers: Record<string, string> = {}): Promise<Answer> {
  return once(graphqlRequest(body, headers))
}

function bearer(): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

/** What the edge counts for each replica. */
async function counts(): Promise<number[]> {
  const view = await until('the console answers', async () => (await stack.console()) ?? undefined)
  return view.replicas.map(({ requests }) => requests)
}

/** What each replica counts by itself; health checks come from the edge, not from clients. */
function ownCounts(): Promise<number[]> {
  return Promise.all(
    stack.replicas.map(async ({ metricsUrl }) => {
      const text = await (await fetch(metricsUrl)).text()
      return [...text.matchAll(/^http_requests_total\{(.*)\} (\d+)$/gm)]
        .filter(([, labels = '']) => !labels.includes('route="/readyz"'))
        .reduce((sum, [, , count]) => sum + Number(count), 0)
    }),
  )
}

/** Connections of the edge to the replicas; those for its checks are not among them. */
async function upstreamConnections() {
  const url = `${stack.consoleUrl}/stats?filter=^cluster.munjigi.upstream_cx_`
  const text = await (await fetch(url)).text()
  const count = (name: string) => Number(new RegExp(`_${name}: (\\d+)$`, 'm').exec(text)?.[1])
  return { active: count('active'), closedByReplicas: count('destroy_remote') }
}

/** Lines about requests that any replica wrote; some come after the answers. */
function requestLines(): Record<string, unknown>[] {
  return stack.replicas
    .flatMap(({ lines }) => lines)
    .filter((line) => line.includes('"http.request"'))
    .map((line) => JSON.parse(line))
}

describeStack('a client', () => {
  test('is told by every replica that it is logged in already, with one token', async () => {
    const before = await counts()
    for (let round = 0; round < 6; round += 1) {
      const { status, body } = await ask(LOGIN, bearer())
      expect(status).toBe(200)
      expect(JSON.parse(body).data.login).toEqual({
        __typename: 'AlreadyLoggedIn',
        message: `이미 ${EMAIL}로 로그인 하였습니다.`,
      })
    }
    const after = await counts()
    expect(after.map((count, index) => count - (before[index] ?? 0)).every((n) => n > 0)).toBe(true)
  })

  test('that has signed up can log in without a token', async () => {
    expect(JSON.parse((await ask(LOGIN)).body).data.login.__typename).toBe('LoggedIn')
  })

  test.each([
    ['h2', 'TLSv1.2'],
    ['h2', 'TLSv1.3'],
    ['http/1.1', 'TLSv1.2'],
    ['http/1.1', 'TLSv1.3'],
  ] as const)('gets %s under %s', async (protocol, version) => {
    expect(await handshake(protocol, version)).toBe(`${protocol} ${version}`)
  })

  test('that speaks only TLS 1.1 gets nothing', async () => {
    expect(await handshake('http/1.1', 'TLSv1.1')).toEndWith('ALERT_PROTOCOL_VERSION')
  })

  test('is served over HTTP/2 as over HTTP/1.1', async () => {
    expect(await overHttp2(ME, bearer())).toEqual({ status: 200, email: EMAIL })
  })

  test('verifies tokens with the keys of any replica', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { status, headers, body } = await once(request('GET', '/.well-known/jwks.json'))
      expect([status, headers['content-type']]).toEqual([200, 'application/json'])
      expect(JSON.parse(body).keys).toHaveLength(1)
    }
  })

  test('finds its request id in the answer, in the error and in the log', async () => {
    const { headers, body } = await ask(ME)
    const id = headers['x-request-id']
    expect(JSON.parse(body).errors[0].extensions).toEqual({
      code: 'UNAUTHENTICATED',
      requestId: id,
    })
    await until('the log has the id', () => requestLines().some((line) => line['requestId'] === id))
  })

  test('is told to use HTTPS in future by its own name, and never by localhost', async () => {
    const own = await once(request('GET', '/.well-known/jwks.json', { host: OWN_NAME }))
    expect(own.headers['strict-transport-security']).toBe('max-age=31536000')
    for (const host of ['localhost', '127.0.0.1', `localhost:${stack.ports.https}`]) {
      const local = await once(request('GET', '/.well-known/jwks.json', { host }))
      expect(local.status).toBe(200)
      expect(local.headers).not.toHaveProperty('strict-transport-security')
    }
  })

  test('sees nothing of what the edge and the replica say to each other', async () => {
    const { headers } = await ask(ME, bearer())
    expect(headers['server']).toBe('edge')
    expect(Object.keys(headers).filter((name) => /^x-(envoy|powered)/.test(name))).toEqual([])
  })
})

describeStack('plain HTTP', () => {
  const plain = () => ({ port: stack.ports.http })

  test('sends a browser to HTTPS', async () => {
    const { status, headers } = await once(request('GET', '/graphql?a=b'), plain())
    expect(status).toBe(301)
    expect(headers['location']).toBe(`${stack.url}/graphql?a=b`)
    // Else a browser keeps it, and goes there long after whatever else is at localhost, or at another port.
    expect(headers['cache-control']).toBe('no-store')
  })

  test('gives every answer a request id', async () => {
    for (const bytes of [request('GET', '/'), graphqlRequest(ME)]) {
      const { headers, body } = await once(bytes, plain())
      const { requestId } = JSON.parse(body).errors[0].extensions
      expect(headers['x-request-id']).toBe(requestId)
    }
  })

  test('refuses a POST, whose password was in the clear already', async () => {
    const agent = { ...bearer(), 'user-agent': 'in the clear' }
    const { status, headers, body } = await once(graphqlRequest(LOGIN, agent), plain())
    expect([status, headers['location']]).toEqual([403, undefined])
    expect(headers['content-type']).toStartWith('application/graphql-response+json')
    expect(JSON.parse(body).errors[0]).toMatchObject({
      message: 'HTTPS로 보내 주십시오.',
      extensions: { code: 'EDGE_403' },
    })
    // By the time that each replica has told of a later request, it has told of all before.
    await Promise.all(
      Array.from({ length: 6 }, () => ask(LOGIN, { ...bearer(), 'user-agent': 'later' })),
    )
    await linesOf('later', 6)
    expect(requestLines().filter((line) => line['userAgent'] === 'in the clear')).toEqual([])
  })

  test('is not spoken as HTTP/2, in which one connection holds many requests open', async () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    expect((await once(preface, plain())).status).toBe(400)
  })

  test('knows no other names', async () => {
    const stranger = request('GET', '/', { host: 'evil.example' })
    const [secure, open] = [await once(stranger), await once(stranger, plain())]
    expect([secure.status, open.status]).toEqual([404, 404])
    const refusals = [secure, open].map(({ body }) => JSON.parse(body).errors[0])
    expect(refusals[1]).toMatchObject({ extensions: { code: 'NOT_FOUND' } })
    expect(refusals[1].message).toBe(refusals[0].message)
    expect(open.headers['content-type']).toBe(secure.headers['content-type'] ?? '')
  })
})

describeStack('the replicas', () => {
  test('get a third of 3,000 requests each, within 2 %, and the console counts as they do', async () => {
    const [before, ownBefore] = [await counts(), await ownCounts()]
    const perConnection = 150
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await connect(target)
        for (let sent = 0; sent < perConnection; sent += 1) {
          const { status } = await connection.send(graphqlRequest(ME, bearer()))
          expect(status).toBe(200)
        }
        connection.close()
      }),
    )
    const difference = (after: number[], from: number[]) =>
      after.map((count, index) => count - (from[index] ?? 0))
    const shares = difference(await counts(), before)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(3_000)
    for (const share of shares) expect(Math.abs(share - 1_000)).toBeLessThanOrEqual(20)
    expect(difference(await ownCounts(), ownBefore)).toEqual(shares)
  })

  test('keep a connection on which nothing was ever said longer than the edge does', async () => {
    const before = await upstreamConnections()
    await Promise.all(Array.from({ length: 20 }, () => ask(ME, bearer())))
    const silent = stack.replicas.map(({ port }) => createConnection({ port, host: '127.0.0.1' }))
    try {
      expect((await upstreamConnections()).active).toBeGreaterThan(0)
      await until(
        'the edge has let go of all',
        async () => (await upstreamConnections()).active === 0,
      )
      // A request on a connection that the replica is just closing would fail: always the edge has to be first.
      expect(silent.map(({ readyState }) => readyState)).toEqual(silent.map(() => 'open'))
      expect((await upstreamConnections()).closedByReplicas).toBe(before.closedByReplicas)
    } finally {
      for (const socket of silent) socket.destroy()
    }
  })

  test('hear of the client what the edge knows, whatever the client says of itself', async () => {
    const agent = { 'user-agent': 'forger' }
    const connection = await connect(target)
    for (let sent = 0; sent < 1_000; sent += 1) {
      const { status } = await connection.send(graphqlRequest(ME, { ...forged(sent), ...agent }))
      expect(status).toBe(200)
    }
    connection.close()
    const lines = await linesOf('forger', 1_000)
    expect(lines).toHaveLength(1_000)
    expect(new Set(lines.map((line) => line['clientAddress']))).toEqual(new Set(['127.0.0.1']))
    const ids = lines.map((line) => String(line['requestId']))
    expect(ids.filter((id) => id.startsWith('forged'))).toEqual([])
    expect(new Set(ids).size).toBe(1_000)
  })

  test.skipIf(!LOOPBACK.includes('::1'))('hear of an IPv6 client its address', async () => {
    const headers = { ...forged(1), 'user-agent': 'forger of IPv6' }
    const answer = await once(graphqlRequest(ME, headers), { ...target, host: '::1' })
    expect(answer.status).toBe(200)
    expect(await linesOf('forger of IPv6', 1)).toMatchObject([{ clientAddress: '::1' }])
  })
})

describeStack('a throttle', () => {
  test('counts by the address that the edge saw, over all replicas, whatever a client claims', async () => {
    const codes: unknown[] = []
    for (let seed = 1; seed <= 40; seed += 1) {
      const { body } = await ask(SIGNUP, { ...forged(seed), authorization: '' })
      codes.push(JSON.parse(body).errors[0].extensions.code)
    }
    // Twenty by default, and one has been made before.
    expect(codes.filter((code) => code === 'EMAIL_TAKEN')).toHaveLength(19)
    expect(codes.slice(19)).toEqual(Array(21).fill('RATE_LIMITED'))
  })
})

/** Every header by which somebody might be taken for somebody else, in different mixtures. */
function forged(seed: number): Record<string, string> {
  const address = `203.0.113.${seed % 250}`
  const all = {
    ...bearer(),
    'x-forwarded-for': `${address}, 127.0.0.1`,
    'X-Envoy-External-Address': address,
    'x-envoy-internal': 'true',
    'x-envoy-original-dst-host': '127.0.0.1:1',
    'x-envoy-decorator-operation': 'x',
    'x-real-ip': address,
    'x-client-ip': address,
    'true-client-ip': address,
    'cf-connecting-ip': address,
    'x-cluster-client-ip': address,
    forwarded: `for=${address};proto=http;host=evil.example`,
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-request-id': `forged-${seed}-forged`,
    'x-http-method-override': 'DELETE',
  }
  return Object.fromEntries(
    Object.entries(all).filter((_, index) => index === 0 || seed % (index + 1) < 2),
  )
}

/** Resolves to the lines about the requests of this user agent, as soon as there are so many. */
async function linesOf(userAgent: string, count: number): Promise<Record<string, unknown>[]> {
  return await until('the replicas have logged it', () => {
    const lines = requestLines().filter((line) => line['userAgent'] === userAgent)
    return lines.length >= count && lines
  })
}

describeStack('the certificate', () => {
  test('is renewed under load without a failure', async () => {
    const load = startLoad({
      target,
      rate: 100,
      // Making one holds us up; on a busy machine hundreds would be due after it.
      atOnce: 30,
      next: () => graphqlRequest(ME, bearer()),
      judge: holding(EMAIL),
    })
    await load.more(50)
    const before = await servedSerial()
    stack.renewCertificate()
    await until('the new one is served', async () => (await servedSerial()) !== before)
    await load.more(100)
    const { failures } = await load.stop()
    expect(failures.slice(0, 5)).toEqual([])
  })
})

describeStack('the console', () => {
  const get = (path: string, init: RequestInit = {}) => fetch(stack.consoleUrl + path, init)

  test.each(['/', '/clusters', '/stats', '/stats/prometheus', '/server_info', '/certs'])(
    'shows %s',
    async (path) => {
      expect((await get(path)).status).toBe(200)
    },
  )

  test.each([
    '/quitquitquit',
    '/runtime_modify?a=b',
    '/config_dump',
    '/drain_listeners',
    '/logging',
  ])('refuses %s, by POST and by GET', async (path) => {
    expect((await get(path, { method: 'POST' })).status).toBe(403)
    expect((await get(path)).status).toBe(403)
  })

  test.each(['/clusters', '/stats', '/healthcheck/fail', '/reset_counters'])(
    'takes no POST to %s',
    async (path) => {
      expect((await get(path, { method: 'POST' })).status).toBe(403)
    },
  )

  test.each([
    '/stats/../quitquitquit',
    '/stats%2f..%2fquitquitquit',
    '//quitquitquit',
    '/clusters/',
  ])('is not tricked by %s', async (path) => {
    const to = { port: stack.ports.console }
    for (const method of ['GET', 'POST'])
      expect((await once(request(method, path), to)).status).toBeGreaterThanOrEqual(400)
    expect(stack.edge.state).toBe('running')
  })

  test('answers to no foreign name, so that no web page can have it read', async () => {
    const to = { port: stack.ports.console }
    const { status } = await once(request('GET', '/clusters', { host: 'evil.example' }), to)
    expect(status).toBe(404)
  })

  test('is something else than the listener for Prometheus, which has the figures and nothing more', async () => {
    const to = { port: stack.ports.metrics }
    const { status, body } = await once(request('GET', '/stats/prometheus'), to)
    expect([status, body.includes('envoy_cluster_endpoint_rq_total')]).toEqual([200, true])
    for (const path of ['/clusters', '/', '/quitquitquit', '/stats'])
      expect((await once(request('GET', path), to)).status).toBe(403)
  })
})

function handshake(protocol: 'h2' | 'http/1.1', version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') {
  return new Promise<string>((resolve) => {
    const socket = connectTls(
      {
        port: stack.ports.https,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: stack.ca.text,
        ALPNProtocols: [protocol],
        minVersion: version,
        maxVersion: version,
      },
      () => {
        resolve(`${socket.alpnProtocol} ${socket.getProtocol()}`)
        socket.destroy()
      },
    )
    socket.once('error', (error) => resolve(`error: ${error.message}`))
  })
}

async function overHttp2(body: object, headers: Record<string, string>) {
  const session = connectHttp2(stack.url, { ca: stack.ca.text })
  try {
    return await new Promise<{ status: number; email: string }>((resolve, reject) => {
      session.once('error', reject)
      const stream = session.request({
        ':method': 'POST',
        ':path': '/graphql',
        'content-type': 'application/json',
        ...headers,
      })
      let [status, text] = [0, '']
      stream.once('response', (answer) => {
        status = Number(answer[':status'])
      })
      stream.setEncoding('utf8')
      stream.on('data', (chunk: string) => {
        text += chunk
      })
      stream.once('end', () => resolve({ status, email: JSON.parse(text).data.me.email }))
      stream.once('error', reject)
      stream.end(JSON.stringify(body))
    })
  } finally {
    session.close()
  }
}

function servedSerial(): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { ...{ port: stack.ports.https, host: '127.0.0.1' }, servername: 'localhost' }
    const socket = connectTls({ ...options, ca: stack.ca.text }, () => {
      const { raw } = socket.getPeerCertificate()
      resolve(new X509Certificate(raw).serialNumber)
      socket.destroy()
    })
    socket.once('error', reject)
  })
}
