// Whose request this is: the address and the request id. What a client could write itself is believed only from the edge.

import type { BlockList } from 'node:net'
import { isIP } from 'node:net'
import type { Config } from '../config.ts'
import type { Client } from '../graphql/context.ts'
import type { Random } from '../platform/random.ts'
import { createRecent } from '../platform/recent.ts'
import { textOf } from '../platform/utf8.ts'

/** Who may speak for others, and in which header. */
export type ClientRules = Pick<Config, 'trustedPeers' | 'clientAddressHeader'>

/** Reads the client of a request that came from the socket address `peer`. */
export type ClientReader = (request: Request, peer: string) => Client

/** Makes a reader. */
export function createClientReader(rules: ClientRules, random: Random): ClientReader {
  // Behind an edge there are few peers, and without one most come more than once.
  const trust = createRecent<boolean>(1_000)
  return (request, peer) => {
    const { headers } = request
    const address = plainAddress(peer)
    const trusted = trust.get(address) ?? isTrusted(address, rules.trustedPeers)
    trust.set(address, trusted)
    return {
      address: (trusted && reportedAddress(headers, rules.clientAddressHeader)) || address,
      userAgent: readName(headers.get('user-agent') ?? ''),
      requestId: (trusted && reportedId(headers)) || random.id('req'),
      // A getter: only a request that waits in a queue needs one, and making it costs time.
      get signal() {
        return request.signal
      },
    }
  }
}

/** `::ffff:192.0.2.1` and `192.0.2.1` are one address. */
function plainAddress(address: string): string {
  return address.startsWith('::') ? address.replace(/^::ffff:(?=\d+\.)/i, '') : address
}

function isTrusted(address: string, peers: BlockList): boolean {
  const family = isIP(address)
  return family !== 0 && peers.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** The last address of a list, which the edge itself has added: a client may have written those before it. */
function reportedAddress(headers: Headers, name: string | undefined): string | undefined {
  const last = (name && headers.get(name)?.split(',').at(-1)) || ''
  const address = plainAddress(last.trim())
  return isIP(address) === 0 ? undefined : address
}

/** Headers are read as Latin-1, yet Go, aiohttp and curl send a name in other letters as UTF-8 (RFC 9110 §5.5 leaves it open). */
function readName(header: string): string {
  if (!/[\x80-\xff]/.test(header)) return header
  try {
    return textOf(Buffer.from(header, 'latin1'))
  } catch {
    return header
  }
}

/** Bounded and plain: it is repeated in a header and in every log line. */
function reportedId(headers: Headers): string | undefined {
  const id = headers.get('x-request-id') ?? ''
  return /^[\w.-]{8,128}$/.test(id) ? id : undefined
}
