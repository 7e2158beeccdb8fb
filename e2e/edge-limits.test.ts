// What the edge refuses, and that it refuses it alone: no replica hears of it, and good clients do not notice.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { ClientHttp2Session } from 'node:http2'
import { connect as connectHttp2 } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { connect as connectTls } from 'node:tls'
import type { Answer, Connection, Target } from './http-client.ts'
import { connect, graphqlRequest, request, sendOnce } from './http-client.ts'
import { LOOPBACK } from './ports.ts'
import { quantile } from './quantile.ts'
import type { Stack } from './stack.ts'
import { startStack } from './stack.ts'
import { canRunStack } from './tools.ts'
import { until } from './until.ts'

const hasStack = await canRunStack()
const describeStack = describe.skipIf(!hasStack)
setDefaultTimeout(120_000)

const QUERY = { query: '{ __typename }' }
const MIB = 1_048_576

let stack: Stack
let target: Target
/** Begun first, because it takes as long as it takes until the edge loses patience. */
let slowBody: Promise<Answer | null>
let slowHead: Promise<Answer | null>
let untaken: Promise<number>

beforeAll(async () => {
  if (!hasStack) return
  stack = await startStack({ floodLimit: 50_000, keepLines: Number.POSITIVE_INFINITY })
  target = edgeOf(stack)
  const head = request('POST', '/graphql', { headers: { 'content-type': 'application/json' } })
  slowBody = drip(head.replace('\r\n\r\n', '\r\ncontent-length: 1000\r\n\r\n'), ' ')
  slowHead = drip('POST /graphql HTTP/1.1\r\n', 'x: y\r\n')
  untaken = takeNothing(overHttp2To(stack), JSON.stringify(QUERY))
})

afterAll(async () => {
  if (hasStack) await stack.stop()
})

function edgeOf({ ports, ca }: Stack): Target {
  return { port: ports.https, ca: ca.text }
}

/** Sends the beginning, and then the same bytes again and again, far apart. */
async function drip(beginning: string, more: string): Promise<Answer | null> {
  const connection = await connect(target)
  const timer = setInterval(() => connection.write(more), 500)
  return await connection
    .send(beginning)
    .catch(() => null)
    .finally(() => {
      clearInterval(timer)
      connection.close()
    })
}

/** The answer to these bytes on a connection of their own; null if it was closed instead. */
function once(bytes: string, to: Target = target): Promise<Answer | null> {
  return sendOnce(to, bytes).catch(() => null)
}

function codeOf(answer: Answer | null): unknown {
  return JSON.parse(answer?.body ?? 'null')?.errors[0].extensions.code
}

const MARK = 'mark-'
let marks = 0

/** Requests that reached a replica, marks aside. */
function forwarded(): number {
  return stack.replicas
    .flatMap(({ lines }) => lines)
    .filter((line) => line.includes('"http.request"') && !line.includes(MARK)).length
}

/** Sends a mark until each replica has logged it: then it has logged all that came before as well. */
async function settle(): Promise<void> {
  marks += 1
  const mark = `${MARK}${marks}.`
  const marked = graphqlRequest(QUERY, { 'user-agent': mark })
  await until('each replica has logged the mark', async () => {
    expect((await once(marked))?.status).toBe(200)
    return stack.replicas.every(({ lines }) => lines.some((line) => line.includes(mark)))
  })
}

/** Runs `work` and gives how many requests reached a replica meanwhile. */
async function reaching(work: () => Promise<void>): Promise<number> {
  await settle()
  const before = forwarded()
  await work()
  await settle()
  return forwarded() - before
}

describeStack('size', () => {
  test('a body of 128 KiB reaches the service, which has a limit of its own; one more byte does not', async () => {
    const body = (size: number) => ({
      headers: { 'content-type': 'application/json' },
      body: 'x'.repeat(size),
    })
    const reached = await reaching(async () => {
      expect((await once(request('POST', '/graphql', body(131_072))))?.status).toBe(413)
    })
    expect(reached).toBe(1)
    const refused = await reaching(async () => {
      for (const size of [131_073, MIB]) {
        const answer = await once(request('POST', '/graphql', body(size)))
        expect([answer?.status, codeOf(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
        expect(answer?.headers['content-type']).toStartWith('application/graphql-response+json')
      }
    })
    expect(refused).toBe(0)
  })

  test('headers above 12 KiB, or more than 80 of them, get 431', async () => {
    const many = Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`x-${index}`, 'y']))
    const reached = await reaching(async () => {
      for (const headers of [{ 'x-large': 'y'.repeat(13_000) }, many]) {
        const answer = await once(graphqlRequest(QUERY, headers))
        expect([answer?.status, codeOf(answer)]).toEqual([431, 'EDGE_431'])
      }
    })
    expect(reached).toBe(0)
  })
})

describeStack('the access log', () => {
  test('has a short line for a long request: nobody can push out what others did', async () => {
    const agent = { 'user-agent': 'longwinded' }
    const long = 'x'.repeat(11_000)
    const requests = [
      request('GET', `/${long}`, { headers: agent }),
      request('GET', '/', { headers: agent, host: long }),
      // Refused before the edge has made an id: the client's own is in its place.
      request('GET', '/%2f', { headers: { ...agent, 'x-request-id': long } }),
    ]
    const plain = { port: stack.ports.http }
    for (const bytes of requests)
      for (const to of [target, plain]) expect((await once(bytes, to))?.status).toBeGreaterThan(300)
    await overHttp2({ ':method': long, ...agent })
    const lines = await until('all are in the log', () => {
      const written = stack.edge.lines.filter((line) => line.includes('longwinded'))
      return written.length === 2 * requests.length + 1 && written
    })
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(1_500)
  })
})

describeStack('what can be understood in two ways', () => {
  const body = JSON.stringify(QUERY)
  const head = (...lines: string[]) =>
    ['POST /graphql HTTP/1.1', 'host: localhost', 'content-type: application/json', ...lines]
      .map((line) => `${line}\r\n`)
      .join('')
  const cases: ReadonlyArray<[string, string]> = [
    [
      'both lengths',
      `${head(`content-length: ${body.length}`, 'transfer-encoding: chunked')}\r\n0\r\n\r\n`,
    ],
    ['two lengths', `${head('content-length: 5', `content-length: ${body.length}`)}\r\n${body}`],
    ['a length with a sign', `${head(`content-length: +${body.length}`)}\r\n${body}`],
    ['an unknown transfer coding', `${head('transfer-encoding: xchunked')}\r\n0\r\n\r\n`],
    [
      'chunked twice',
      `${head('transfer-encoding: chunked', 'transfer-encoding: chunked')}\r\n0\r\n\r\n`,
    ],
    ['chunked, then identity', `${head('transfer-encoding: chunked, identity')}\r\n0\r\n\r\n`],
    ['a space before the colon', `${head('transfer-encoding : chunked')}\r\n0\r\n\r\n`],
    ['a length in hexadecimal', `${head('content-length: 0x10')}\r\n${body}`],
    ['a chunk size that is none', `${head('transfer-encoding: chunked')}\r\nzz\r\n`],
    ['two hosts', `${head('host: evil.example', `content-length: ${body.length}`)}\r\n${body}`],
    ['no host', `POST /graphql HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}`],
    [
      'another host in the line',
      `POST http://evil.example/graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`,
    ],
    [
      'HTTP/1.0',
      `POST /graphql HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ],
    ['an underscore in a name', graphqlRequest(QUERY, { x_forwarded_for: '203.0.113.1' })],
    ['a null in a header', graphqlRequest(QUERY, { 'x-a': 'b\u0000c' })],
    ['an escaped slash', request('POST', '/%2fgraphql', { body })],
    ['an escaped backslash', request('POST', '/graphql%5c', { body })],
    ['a foreign host', graphqlRequest(QUERY, {}, 'evil.example')],
  ]

  test.each(cases)('is refused: %s', async (_, bytes) => {
    const reached = await reaching(async () => {
      const answer = await once(bytes)
      // Closed without a word is a refusal too; 501 is the one for codings (RFC 9112 §6.1).
      expect([400, 404, 426, 501]).toContain(answer?.status ?? 400)
    })
    expect(reached).toBe(0)
  })

  test('hides no second request behind the first', async () => {
    const hidden = graphqlRequest(QUERY)
    const smuggled = `${head('content-length: 4', 'transfer-encoding: chunked')}\r\n0\r\n\r\n${hidden}`
    const reached = await reaching(async () => {
      const connection = await connect(target)
      expect((await connection.send(smuggled)).status).toBe(400)
      await connection.closed
      expect(connection.received().match(/HTTP\/1\.1 /g)).toHaveLength(1)
    })
    expect(reached).toBe(0)
  })
})

describeStack('what is not public', () => {
  const internal = [
    ...['/metrics', '/livez', '/readyz', '/', '/clusters', '/stats', '/stats/prometheus'],
    ...['/server_info', '/quitquitquit', '/config_dump', '/health', '/dump', '/v2/pipeline'],
  ]
  const tricks = [
    ...['//metrics', '/./metrics', '/graphql/../metrics', '/graphql/%2e%2e/readyz', '/%72eadyz'],
    ...['/graphql/', '/GRAPHQL', '/graphql;x=1', '/graphql/x', '/.well-known/../metrics'],
    ...['/.well-known/jwks.json/../../livez', '/%2fmetrics', '/..%2fmetrics', '/%5cmetrics'],
  ]

  test.each([...internal, ...tricks])('stays inside: %s', async (path) => {
    const reached = await reaching(async () => {
      for (const method of ['GET', 'POST']) {
        const answer = await once(request(method, path, { body: '' }))
        expect([400, 404, 405]).toContain(answer?.status ?? 0)
        expect(String(codeOf(answer))).toMatch(/^(NOT_FOUND|EDGE_400)$/)
      }
    })
    expect(reached).toBe(0)
  })

  test('has no way in by another method either', async () => {
    const reached = await reaching(async () => {
      for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT']) {
        const answer = await once(request(method, '/graphql', { body: '' }))
        expect([400, 404, 405]).toContain(answer?.status ?? 400)
        if (answer?.status === 405) expect(answer.headers['allow']).toBe('POST')
      }
      // A replica knows no other method for the keys than those that read.
      for (const method of ['POST', 'OPTIONS', 'DELETE'])
        expect((await once(request(method, '/.well-known/jwks.json')))?.status).toBe(404)
    })
    expect(reached).toBe(0)
  })
})

describeStack('patience', () => {
  test('a thousand connections that dawdle are borne, and a good client is answered every time', async () => {
    const slow: Connection[] = []
    // The edge gives each five seconds to say hello: all together would take a busy machine longer.
    while (slow.length < 1_000)
      slow.push(...(await Promise.all(Array.from({ length: 50 }, () => connect(target)))))
    const [head = ''] = graphqlRequest(QUERY).split('\r\n\r\n')
    for (const [index, connection] of slow.entries())
      connection.write(index % 2 === 0 ? `${head}\r\n\r\n{` : head.slice(0, 30))
    const good = await connect(target)
    const statuses: number[] = []
    const times: number[] = []
    for (let sent = 0; sent < 100; sent += 1) {
      const asked = performance.now()
      statuses.push((await good.send(graphqlRequest(QUERY))).status)
      times.push(performance.now() - asked)
    }
    const p99 = quantile(
      times.sort((one, other) => one - other),
      0.99,
    )
    if (process.env['EDGE_LONG'] === '1') console.log(`1,000 dawdle, p99 ${p99?.toFixed(1)} ms`)
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(slow.filter(({ open }) => open)).toHaveLength(1_000)
    for (const connection of [...slow, good]) connection.close()
  })

  test('a body that does not end is cut, and no replica ever hears of it', async () => {
    const reached = await reaching(async () => {
      const answer = await slowBody
      expect([answer?.status, codeOf(answer)]).toEqual([408, 'EDGE_408'])
    })
    expect(reached).toBe(0)
  })

  test('so is a head', async () => {
    expect((await slowHead)?.status).toBe(408)
  })

  test('an answer over HTTP/2 that its client does not take is not kept for a minute', async () => {
    expect(await untaken).toBe(HTTP2_INTERNAL_ERROR)
  })

  // How many at once, twenty times a second: after ten seconds they would fill the heap and more, if all stayed.
  test.each([
    ['answers that nobody takes', takeNothing, 4],
    ['refusals that nobody takes', takeNoRefusal, 20],
    ['bodies that come byte by byte', sendSlowly, 4],
  ])('%s are dropped before anybody else feels them', async (_, dawdle, together) => {
    // An eighth of what is shipped.
    await using small = await startStack({
      replicas: 1,
      heapBytes: 48 * MIB,
      floodLimit: 50_000,
    })
    const good = await connect(edgeOf(small))
    const clients: ClientHttp2Session[] = []
    const statuses: number[] = []
    let [dropped, pressure] = [0, 0]
    for (let round = 0; round < 125; round += 1) {
      // A connection has a hundred streams at most.
      if (round % Math.floor(100 / together) === 0) clients.push(overHttp2To(small))
      for (const client of clients.slice(-1))
        for (let at = 0; at < together; at += 1) void dawdle(client).then(() => (dropped += 1))
      statuses.push((await good.send(graphqlRequest(QUERY))).status)
      pressure = Math.max(pressure, await heapPressure(small))
      await Bun.sleep(50)
    }
    expect(new Set(statuses)).toEqual(new Set([200]))
    // It was felt, and the step that refuses requests was not reached.
    expect(dropped).toBeGreaterThan(0)
    expect(pressure).toBeGreaterThan(30)
    expect(pressure).toBeLessThan(95)
    for (const client of clients) client.destroy()
    good.close()
  })

  test('bodies that come slowly over HTTP/1.1, as from many addresses, are cut before nobody is let in', async () => {
    // An eighth of the heap that is shipped, and one address may send what is shipped for many.
    await using small = await startStack({ replicas: 1, heapBytes: 48 * MIB, floodLimit: 50_000 })
    const to = edgeOf(small)
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const slow: Promise<Answer | null>[] = []
    const answers: (Answer | null)[] = []
    const redirects: (Answer | null)[] = []
    const statuses: number[] = []
    let pressure = 0
    const began = performance.now()
    // Kept, fourteen of them are all of the memory.
    while (slow.length < 36) {
      const due = ((performance.now() - began) / 1_000) * 4
      while (slow.length < due) slow.push(sendInPieces(to, LENGTHS.declared, over))
      answers.push(await once(graphqlRequest(QUERY), to))
      redirects.push(await once(request('GET', '/graphql'), { port: small.ports.http }))
      statuses.push(await statusOverHttp2(small))
      pressure = Math.max(pressure, await heapPressure(small))
      await Bun.sleep(25)
    }
    end()
    expect(pressure).toBeGreaterThan(80)
    expect(pressure).toBeLessThan(95)
    expect((await Promise.all(slow)).map((answer) => answer?.status)).toContain(503)
    expect(new Set(statuses)).toEqual(new Set([200]))
    // Over HTTP/1.1 a good client meets it too, by chance, and can tell what to do.
    const refused = answers.filter((answer) => answer?.status !== 200)
    expect(refused.length).toBeLessThan(answers.length / 4)
    refused.push(...redirects.filter((answer) => answer?.status !== 301))
    for (const answer of refused) {
      expect([answer?.status, codeOf(answer)]).toEqual([503, 'SERVICE_UNAVAILABLE'])
      expect(answer?.headers['retry-after']).toBe('1')
    }
  })

  test('answers that nobody takes leave others their connections to the replicas', async () => {
    await using shipped = await startStack({ replicas: 1, floodLimit: 50_000 })
    const good = await connect(edgeOf(shipped))
    const authorization = await withSessions(good)
    const query = `{ sessions { ${Array.from({ length: 15 }, (_, i) => `a${i}: client`).join(' ')} } }`
    const clients: ClientHttp2Session[] = []
    const statuses: number[] = []
    const began = performance.now()
    for (let sent = 0; sent < 1_200; ) {
      // As many as one address may ask for, each with an answer that the edge does not read to its end.
      for (; sent < ((performance.now() - began) / 1_000) * 190; sent += 1) {
        if (sent % 100 === 0) clients.push(overHttp2To(shipped))
        for (const client of clients.slice(-1)) {
          const { stream } = streamOf(client, { authorization })
          stream.end(JSON.stringify({ query }))
        }
      }
      statuses.push((await good.send(graphqlRequest(QUERY))).status)
      await Bun.sleep(25)
    }
    const stats = await fetch(
      `${shipped.consoleUrl}/stats?filter=^cluster.munjigi.upstream_.*overflow`,
    )
    const counts = [...(await stats.text()).matchAll(/(\w+_overflow): (\d+)/g)]
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(counts.filter(([, , count]) => count !== '0').map(([, name]) => name)).toEqual([])
    for (const client of clients) client.destroy()
    good.close()
  })

  test('connections that are opened and left idle are ended before anybody else feels them', async () => {
    // An eighth of the heap that is shipped, and some 40 KiB for each of 90 a second: full after ten seconds, if all stay.
    const heapBytes = 48 * MIB
    await using small = await startStack({ replicas: 1, heapBytes })
    const to = edgeOf(small)
    const crowd: TLSSocket[] = []
    const began = performance.now()
    const statuses: number[] = []
    let pressure = 0
    while (crowd.length < 1_100) {
      const due = ((performance.now() - began) / 1_000) * 90
      while (crowd.length < due) crowd.push(idleHttp2(to))
      const good = await connect(to).catch(() => null)
      const answer = await good?.send(request('GET', '/.well-known/jwks.json')).catch(() => null)
      good?.close()
      statuses.push(answer?.status ?? 0)
      pressure = Math.max(pressure, await heapPressure(small))
      await Bun.sleep(50)
    }
    for (const socket of crowd) socket.destroy()
    expect(new Set(statuses)).toEqual(new Set([200]))
    // It was felt, and the step that refuses requests was not reached.
    expect(pressure).toBeGreaterThan(30)
    expect(pressure).toBeLessThan(95)
  })
})

/** How full the heap of the edge is, in percent. */
async function heapPressure({ consoleUrl }: Stack): Promise<number> {
  const text = await (await fetch(`${consoleUrl}/stats?filter=heap.pressure`)).text()
  return Number(/pressure: (\d+)/.exec(text)?.[1])
}

/** The status of the answer to a good request over HTTP/2; 0 if there was none. */
async function statusOverHttp2({ url, ca }: Stack): Promise<number> {
  const session = connectHttp2(url, { ca: ca.text }).on('error', () => {})
  const { promise: status, resolve } = Promise.withResolvers<number>()
  const stream = session.request(GRAPHQL).on('error', () => {})
  stream.on('response', ({ ':status': code = 0 }) => resolve(code))
  stream.on('close', () => resolve(0))
  stream.resume().end(JSON.stringify(QUERY))
  return await status.finally(() => session.destroy())
}

/** Sends one request over HTTP/2 and waits for its end, whatever it is. */
async function overHttp2(headers: Record<string, string>): Promise<void> {
  const session = connectHttp2(stack.url, { ca: stack.ca.text })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  session.request(headers, { endStream: true }).on('error', resolve).on('close', resolve).resume()
  await ended
  session.close()
}

/** RFC 9113 §7. */
const HTTP2_INTERNAL_ERROR = 2

/** A client over HTTP/2 whose window for answers has no room (RFC 9113 §6.5.2). */
function overHttp2To({ url, ca }: Stack): ClientHttp2Session {
  const settings = { initialWindowSize: 0 }
  return connectHttp2(url, { ca: ca.text, settings }).on('error', () => {})
}

const GRAPHQL = { ':method': 'POST', ':path': '/graphql', 'content-type': 'application/json' }
/** As large as an answer to it: the message has the name of the field. */
const LARGE = JSON.stringify({ query: `{ ${'a'.repeat(66_000)} }` })

/** Asks, and resolves to the code with which the stream ends. */
function takeNothing(client: ClientHttp2Session, body = LARGE): Promise<number> {
  const { stream, ended } = streamOf(client)
  stream.end(body)
  return ended
}

function takeNoRefusal(client: ClientHttp2Session): Promise<number> {
  const { stream, ended } = streamOf(client, { ':path': '/elsewhere' })
  stream.end()
  return ended
}

/** Sends nearly as much as is allowed, and from then on a byte a second. */
function sendSlowly(client: ClientHttp2Session): Promise<number> {
  const { stream, ended } = streamOf(client)
  stream.write(' '.repeat(100_000))
  const timer = setInterval(() => stream.write(' '), 1_000)
  return ended.finally(() => clearInterval(timer))
}

/** Signs up and logs in until a list of all sessions is large. Resolves to what shows an access token. */
async function withSessions(connection: Connection): Promise<string> {
  const headers = { 'user-agent': 'x'.repeat(300) }
  const credentials = '(email: "kim@example.com", password: "correct horse battery")'
  const signup = `mutation { signup${credentials} { tokens { accessToken } } }`
  const login = `mutation { login${credentials} { __typename } }`
  const { body } = await connection.send(graphqlRequest({ query: signup }, headers))
  for (let logins = 0; logins < 50; logins += 1)
    await connection.send(graphqlRequest({ query: login }, headers))
  return `Bearer ${JSON.parse(body).data.signup.tokens.accessToken}`
}

function streamOf(client: ClientHttp2Session, over: object = {}) {
  const { promise: ended, resolve } = Promise.withResolvers<number>()
  const stream = client.request({ ...GRAPHQL, ...over }).on('error', () => {})
  stream.on('close', () => resolve(stream.rstCode ?? 0))
  return { stream, ended }
}

/** Says that it speaks HTTP/2, and then nothing more (RFC 9113 §3.4: preface and an empty SETTINGS). */
function idleHttp2({ port, ca }: Target): TLSSocket {
  const socket = connectTls(
    { port, host: '127.0.0.1', ca, servername: 'localhost', ALPNProtocols: ['h2'] },
    () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'),
  )
  socket.on('error', () => {})
  socket.resume()
  return socket
}

/** How long a body is, as its client says: all of what follows is less. */
const LENGTHS = {
  declared: 'content-length: 101000\r\n\r\n',
  tooLong: 'content-length: 999999999\r\n\r\n',
  unknown: 'transfer-encoding: chunked\r\n\r\nfffff\r\n',
} as const

/** Sends 100 KB in pieces that the edge does not put together, and then waits. Resolves to the answer; null if there was none. */
async function sendInPieces(to: Target, length: string, until: Promise<void>) {
  const connection = await connect(to).catch(() => null)
  if (!connection) return null
  const head = ['POST /graphql HTTP/1.1', 'host: localhost', 'content-type: application/json']
  const answer = connection.send(`${head.join('\r\n')}\r\n${length}`).catch(() => null)
  let answered = false
  void answer.then(() => (answered = true))
  for (let sent = 0; sent < 100_000 && !answered; sent += 513) {
    await Bun.sleep(5)
    connection.write(' '.repeat(513))
  }
  await Promise.race([answer, until])
  connection.close()
  return await answer
}

describeStack('a flood from one address', () => {
  /** Sends requests on ten connections, as fast as they are answered. */
  async function flood(to: Target, count: number): Promise<Answer[]> {
    const answers: Answer[] = []
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const connection = await connect(to)
        for (let sent = 0; sent < count / 10; sent += 1)
          answers.push(await connection.send(request('GET', '/.well-known/jwks.json')))
        connection.close()
      }),
    )
    return answers
  }

  const elsewhere = LOOPBACK.includes('::1') ? { host: '::1' } : { from: '127.0.0.2' }

  test('is told to come back, and another address does not notice', async () => {
    // The limits as they are shipped.
    await using shipped = await startStack({ replicas: 1 })
    const from = edgeOf(shipped)
    const flooding = flood(from, 1_500)
    const neighbour = await connect({ ...from, ...elsewhere })
    for (let sent = 0; sent < 50; sent += 1)
      expect((await neighbour.send(graphqlRequest(QUERY))).status).toBe(200)
    neighbour.close()
    const answers = await flooding
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]))
    const refused = answers.find(({ status }) => status === 429)
    expect(refused?.headers['retry-after']).toBe('1')
    expect(refused?.headers['content-type']).toStartWith('application/graphql-response+json')
    expect(JSON.parse(refused?.body ?? '').errors[0].extensions).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfter: 1,
    })
  })

  test('is refused over plain HTTP as well, and few lines of what is refused are in the log', async () => {
    await using shipped = await startStack({ replicas: 1, keepLines: Number.POSITIVE_INFINITY })
    const secure = edgeOf(shipped)
    const answers: Answer[] = []
    for (const to of [secure, { port: shipped.ports.http }]) {
      // Over plain HTTP a connection is good for ten.
      const floods = await Promise.all(Array.from({ length: 16 }, () => flood(to, 100)))
      expect(new Set(floods.flat().map(({ status }) => status))).toContain(429)
      answers.push(...floods.flat())
    }
    await until('the last is in the log', async () => {
      await once(request('GET', '/last'), { port: shipped.ports.http })
      return shipped.edge.lines.some((line) => line.includes('/last'))
    })
    const count = (status: number) => ({
      sent: answers.filter((answer) => answer.status === status).length,
      logged: shipped.edge.lines.filter((line) => line.includes(`"status":${status}`)).length,
    })
    for (const status of [200, 301])
      expect(count(status).logged).toBeGreaterThanOrEqual(count(status).sent)
    // One in a hundred, by chance.
    expect(count(429).sent).toBeGreaterThan(500)
    expect(count(429).logged).toBeLessThan(count(429).sent / 10)
    const refused = answers.find(({ status }) => status === 429)
    expect(codeOf(refused ?? null)).toBe('RATE_LIMITED')
  })

  test('is bounded in bytes too: bodies in small pieces do not fill the memory for others', async () => {
    await using shipped = await startStack({ replicas: 1 })
    const from = edgeOf(shipped)
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const sent: Promise<{ kind: string; status: number | undefined }>[] = []
    const statuses: number[] = []
    let pressure = 0
    while (sent.length < 180) {
      // Kept, 130 of them are all of the memory.
      for (const [kind, length] of Object.entries(LENGTHS))
        sent.push(
          sendInPieces(from, length, over).then((answer) => ({ kind, status: answer?.status })),
        )
      const answer = await sendOnce({ ...from, ...elsewhere }, graphqlRequest(QUERY)).catch(
        () => null,
      )
      statuses.push(answer?.status ?? 0)
      pressure = Math.max(pressure, await heapPressure(shipped))
      await Bun.sleep(75)
    }
    end()
    const refused = (await Promise.all(sent)).filter(({ status }) => status === 429)
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(pressure).toBeLessThan(60)
    expect(new Set(refused.map(({ kind }) => kind))).toEqual(new Set(Object.keys(LENGTHS)))
  })

  test('is not what a client makes that sends as many requests as it may, with bodies as they are', async () => {
    await using shipped = await startStack({ replicas: 1 })
    const from = edgeOf(shipped)
    const body = { ...QUERY, variables: { text: 'x'.repeat(1_000) } }
    const answers = await Promise.all(
      Array.from({ length: 190 }, () => sendOnce(from, graphqlRequest(body))),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  })
})
