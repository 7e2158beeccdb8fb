// Listening: which address is told, and what becomes of a port that is taken.

import { afterEach, expect, test } from 'bun:test'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { createTestLog } from '../testing/log.ts'
import type { Listener } from './listen.ts'
import { CannotListen, listen, listenNear, PortTaken } from './listen.ts'

const open: Listener[] = []
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close(0)
})

const { log } = createTestLog()
const kept = (listener: Listener) => {
  open.push(listener)
  return listener
}

/** Where a machine has none, nobody can listen there. */
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['localhost', 'localhost'],
  // What a browser cannot open.
  ['0.0.0.0', 'localhost'],
  ...(hasIpv6 ? [['::', 'localhost'] as const, ['::1', '[::1]'] as const] : []),
])('on %s, its URL is that of %s', (hostname, name) => {
  const listener = kept(listen(hostname, 0, log))
  expect(listener.url).toBe(`http://${name}:${listener.port}`)
})

test('until `answer` is called, nobody is served', async () => {
  const listener = kept(listen('127.0.0.1', 0, log))
  expect((await fetch(listener.url)).status).toBe(503)
  listener.answer((_, peer) => new Response(peer))
  expect(await (await fetch(listener.url)).text()).toBe('127.0.0.1')
})

test('a request whose connection was reset before it is begun is not executed: it would have no address to answer for it', async () => {
  const peers: string[] = []
  const listener = kept(listen('127.0.0.1', 0, log))
  listener.answer((_, peer) => {
    peers.push(peer)
    return new Response()
  })
  const client = connect(listener.port, '127.0.0.1')
  await once(client, 'connect')
  client.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n')
  client.resetAndDestroy()
  // By the time that a later one is answered, the first one has been read.
  await fetch(listener.url)
  expect(peers).toEqual(['127.0.0.1'])
})

test('a client that sends no more, and waits for its answer, has its address', async () => {
  const listener = kept(listen('127.0.0.1', 0, log))
  listener.answer((_, peer) => new Response(peer))
  const client = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true })
  client.end('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  expect(await text(client)).toEndWith('127.0.0.1')
})

test('a taken port is refused; where the next one will do, that is taken instead', () => {
  const { port } = kept(listen('127.0.0.1', 0, log))
  expect(() => listen('127.0.0.1', port, log)).toThrow(PortTaken)
  const next = kept(listenNear('127.0.0.1', port, log))
  expect(next.port).toBeWithin(port + 1, port + 101)
})

test('a name that has no address is no taken port, whatever failed before', () => {
  const { port } = kept(listen('127.0.0.1', 0, log))
  expect(() => listen('127.0.0.1', port, log)).toThrow(PortTaken)
  expect(() => listenNear('-', port, log)).toThrow(CannotListen)
})

test('after the last port there is none to try', () => {
  try {
    kept(listen('127.0.0.1', 65_535, log))
  } catch (error) {
    // If somebody else listens there, that will do as well.
    expect(error).toBeInstanceOf(PortTaken)
  }
  expect(() => listenNear('127.0.0.1', 65_535, log)).toThrow(PortTaken)
})
