// The attacks of payloads.ts against the real server: each is refused with its code before anything is executed, nothing that
// was sent is repeated, and the server is as it was.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect } from 'node:net'
import { ERRORS } from '../src/errors.ts'
import type { Payload } from './payloads.ts'
import { DOCUMENTS, ENVELOPES, FOREIGN, HEAVY, SECRET } from './payloads.ts'
import type { Server } from './server.ts'
import { startServer } from './server.ts'

// On a busy machine.
setDefaultTimeout(60_000)

let server: Server
beforeAll(async () => {
  server = await startServer({ mode: 'serve' })
})
afterAll(() => server.stop())

async function send({ request }: Payload): Promise<{ status: number; text: string }> {
  const accept = { accept: 'application/graphql-response+json' }
  const response = await fetch(`${server.url}/graphql?query=%7B__typename%7D`, {
    ...request,
    headers: { ...request.headers, ...accept } as Record<string, string>,
  })
  return { status: response.status, text: await response.text() }
}

/** What would have moved if a resolver had run or a password been hashed. */
async function work(): Promise<string[]> {
  const text = await (await fetch(server.metricsUrl)).text()
  const counts =
    /^munjigi_(?:signups|logins|refreshes|security_events)_total|^munjigi_password_hash_seconds_count/
  return text.split('\n').filter((line) => counts.test(line))
}

describe.each([
  ['a document', DOCUMENTS],
  ['variables and envelope', ENVELOPES],
  ['what another site could send', FOREIGN],
])('%s', (_, payloads) => {
  test.each(payloads.map((payload) => [payload.name, payload] as const))(
    '%s is refused before anything is executed',
    async (_name, payload) => {
      const before = await work()
      const { status, text } = await send(payload)
      const { errors, ...rest } = JSON.parse(text) as {
        errors: Array<{ extensions: { code: string } }>
      }
      expect(errors.map(({ extensions }) => extensions.code)).toEqual([payload.code])
      expect([status, rest]).toEqual([ERRORS[payload.code as keyof typeof ERRORS].status, {}])
      expect(text).not.toMatch(/zqsecret|4711/)
      expect(await work()).toEqual(before)
    },
  )
})

test.each(HEAVY.map((payload) => [payload.name, payload] as const))(
  '%s is within every limit and executed',
  async (_, payload) => {
    const { status, text } = await send(payload)
    expect([
      status,
      JSON.parse(text).errors.map((error: { extensions: object }) => error.extensions),
    ]).toEqual([200, [expect.objectContaining({ code: payload.code })]])
  },
)

/** What has been counted, by series. */
function counts(lines: readonly string[]): Map<string, number> {
  return new Map(
    lines.map((line) => line.split(' ')).map(([series = '', count]) => [series, Number(count)]),
  )
}

test('of two operations only the one that was chosen runs', async () => {
  const before = counts(await work())
  const login = `login(email: "kim@example.com", password: "${SECRET}") { __typename }`
  const body = { query: `mutation A { ${login} } mutation B { ${login} }`, operationName: 'A' }
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }
  expect(JSON.parse((await send({ name: '', code: '', request })).text).errors).toHaveLength(1)
  const moved = [...counts(await work())].map(([of, count]) => [of, count - (before.get(of) ?? 0)])
  expect(moved.filter(([, more]) => more !== 0)).toEqual([
    ['munjigi_logins_total{result="invalid_credentials"}', 1],
    ['munjigi_security_events_total{event="login.failed"}', 1],
    ['munjigi_password_hash_seconds_count{engine="bun"}', 1],
  ])
})

test('a body without a length is refused while it is still being sent', async () => {
  const { port, hostname } = new URL(server.url)
  const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let sent = 0
  const socket = connect(Number(port), hostname, () => {
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    more()
  })
  const more = () => {
    // Never its end: an answer can only come before it.
    while (!socket.destroyed && sent < 200 * 0x4000) {
      sent += 0x4000
      if (!socket.write(chunk)) return
    }
  }
  socket.on('drain', more)
  socket.on('error', reject)
  socket.on('data', (data) => resolve(data.toString()))
  expect(await promise).toStartWith('HTTP/1.1 413 ')
  socket.destroy()
})

test('afterwards the server answers as before, and its log repeats nothing', async () => {
  const response = await fetch(`${server.url}/readyz`)
  expect(response.status).toBe(200)
  const log = server.lines.join('\n')
  expect(log).not.toMatch(/zqsecret|request\.failed/)
  expect(log).toContain('"event":"http.request"')
})
