// A client for tests: HTTP/1.1 on sockets of its own, so that nothing is repeated, pooled or mended behind our back, and every
// request has exactly one outcome. `fetch` would hide a failure by asking again.

import type { Socket } from 'node:net'
import { connect as connectPlain } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { until } from './until.ts'

/** Where a connection goes. */
export interface Target {
  readonly port: number
  /** 127.0.0.1 if absent. */
  readonly host?: string
  /** With the CA's certificate it is TLS, without it is plain. */
  readonly ca?: string
  /** The address to come from. */
  readonly from?: string
}

/** An answer, read to its end. */
export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** One connection, for one request at a time. */
export interface Connection {
  /** Sends bytes as they are and resolves to the next answer. Rejects when the connection ends before. */
  send(bytes: string): Promise<Answer>
  /** Sends bytes and expects nothing. */
  write(bytes: string): void
  /** Everything that was received, unparsed. */
  received(): string
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>
  readonly open: boolean
  close(): void
}

/** Opens a connection. Rejects when it is refused or the certificate is not good. */
export async function connect(target: Target): Promise<Connection> {
  const socket = await open(target)
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  let [buffer, everything, isOpen] = [Buffer.alloc(0), '', true]
  let waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk])
    if (everything.length < 65_536) everything += chunk.toString('latin1')
    take()
  })
  socket.on('error', (error: Error) => end(error))
  socket.on('close', () => end(new Error('the connection was closed before an answer')))
  return {
    send(bytes) {
      return new Promise((done, reject) => {
        waiting = { resolve: done, reject }
        if (isOpen) socket.write(bytes)
        else end(new Error('the connection was closed before the request'))
      })
    },
    write: (bytes) => void (isOpen && socket.write(bytes)),
    received: () => everything,
    closed,
    get open() {
      return isOpen
    },
    close() {
      isOpen = false
      socket.destroy()
    },
  }

  function take(): void {
    const parsed = waiting && parse(buffer)
    if (!parsed) return
    buffer = buffer.subarray(parsed.length)
    waiting?.resolve(parsed.answer)
    waiting = undefined
    if (parsed.answer.headers['connection'] === 'close') isOpen = false
  }

  function end(error: Error): void {
    isOpen = false
    waiting?.reject(error)
    waiting = undefined
    resolve()
  }
}

/** The answer to these bytes on a connection of their own. Rejects when it is refused, or ends before. */
export async function sendOnce(target: Target, bytes: string): Promise<Answer> {
  const connection = await connect(target)
  try {
    return await connection.send(bytes)
  } finally {
    connection.close()
  }
}

function open({ port, host = '127.0.0.1', ca, from }: Target): Promise<Socket> {
  const where = { port, host, ...(from ? { localAddress: from } : {}) }
  return new Promise((resolve, reject) => {
    const socket = ca
      ? connectTls({ ...where, ca, servername: 'localhost' }, () => resolve(socket))
      : connectPlain(where, () => resolve(socket))
    socket.setNoDelay(true)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed at once')))
  })
}

/** One whole answer at the beginning of what came, or null while some of it is missing. */
function parse(buffer: Buffer): { answer: Answer; length: number } | null {
  const end = buffer.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...lines] = buffer.toString('latin1', 0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const status = Number(first.split(' ')[1])
  const body =
    headers['transfer-encoding'] === 'chunked'
      ? chunked(buffer, end + 4)
      : sized(buffer, end + 4, Number(headers['content-length'] ?? 0))
  return body && { answer: { status, headers, body: body.text }, length: body.end }
}

function sized(buffer: Buffer, start: number, length: number) {
  const end = start + length
  return buffer.length < end ? null : { text: buffer.toString('utf8', start, end), end }
}

function chunked(buffer: Buffer, start: number) {
  const pieces: Buffer[] = []
  for (let at = start; ; ) {
    const line = buffer.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(buffer.toString('latin1', at, line), 16)
    at = line + 2 + size + 2
    if (buffer.length < at) return null
    if (size === 0) return { text: Buffer.concat(pieces).toString('utf8'), end: at }
    pieces.push(buffer.subarray(line + 2, line + 2 + size))
  }
}

/** The bytes of a GraphQL request. */
export function graphqlRequest(
  body: object,
  headers: Readonly<Record<string, string>> = {},
  host = 'localhost',
): string {
  const text = JSON.stringify(body)
  return request('POST', '/graphql', {
    host,
    headers: { 'content-type': 'application/json', ...headers },
    body: text,
  })
}

/** The bytes of any request, in one line for each header. */
export function request(
  method: string,
  path: string,
  more: { host?: string; headers?: Readonly<Record<string, string>>; body?: string } = {},
): string {
  const { host = 'localhost', headers = {}, body } = more
  const all = {
    host,
    ...headers,
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`
}

/** What became of the requests of a load. */
export interface LoadResult {
  /** How many were sent. */
  readonly sent: number
  readonly failures: readonly Failure[]
  /** Milliseconds until the answer, sorted. */
  readonly times: readonly number[]
}

/** A request that was not answered as expected, and when it was sent (milliseconds since the load began). */
export interface Failure {
  readonly sentAt: number
  readonly tookMs: number
  readonly why: string
}

/** What a load is made of. */
export interface LoadPlan {
  readonly target: Target
  /** Requests a second. */
  readonly rate: number
  /** How many wait for their answers at most, whatever the rate; any number if absent. */
  readonly atOnce?: number
  /** The bytes of the next request. */
  readonly next: () => string
  /** Why an answer is not the one expected; null if it is. */
  readonly judge: (answer: Answer) => string | null
}

/** For `judge`: the answer is 200 and holds this text. */
export function holding(wanted: string): LoadPlan['judge'] {
  return ({ status, body }) =>
    status === 200 && body.includes(wanted) ? null : `${status} ${body.slice(0, 120)}`
}

/** A load that runs until it is stopped. */
export interface Load {
  /** How many requests were sent so far. */
  readonly sent: number
  /** How many of them wait for their answer. */
  readonly open: number
  /** How many of them failed. */
  readonly failed: number
  /** Milliseconds since it began. */
  readonly now: number
  /** Resolves when so many more were sent. Throws if that takes minutes. */
  more(count: number): Promise<void>
  /** Sends no more, waits for what is open and tells. */
  stop(): Promise<LoadResult>
}

/** Sends requests at a steady rate whatever becomes of them, each on a connection that nobody else is using. */
export function startLoad(plan: LoadPlan): Load {
  const { target, rate, atOnce = Number.POSITIVE_INFINITY, next, judge } = plan
  const began = performance.now()
  const [idle, open]: [Connection[], Set<Promise<void>>] = [[], new Set()]
  const [failures, times]: [Failure[], number[]] = [[], []]
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) * rate) / 1_000)
    for (; sent < due && open.size < atOnce; sent += 1) {
      const one = single().finally(() => open.delete(one))
      open.add(one)
    }
  }, 5)
  return {
    get sent() {
      return sent
    },
    get open() {
      return open.size
    },
    get failed() {
      return failures.length
    },
    get now() {
      return performance.now() - began
    },
    async more(count) {
      const enough = sent + count
      await until(`${count} more are sent`, () => sent >= enough, 200_000)
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(open)
      for (const connection of idle) connection.close()
      return { sent, failures, times: times.sort((a, b) => a - b) }
    },
  }

  async function single(): Promise<void> {
    const sentAt = performance.now()
    const why = await outcome().catch((error: unknown) => String(error))
    const tookMs = performance.now() - sentAt
    times.push(tookMs)
    if (why !== null) failures.push({ sentAt: sentAt - began, tookMs, why })
  }

  async function outcome(): Promise<string | null> {
    let connection = idle.pop()
    while (connection && !connection.open) connection = idle.pop()
    connection ??= await connect(target)
    const answer = await connection.send(next())
    if (connection.open) idle.push(connection)
    else connection.close()
    return judge(answer)
  }
}
