// Ports for what is started here: below those that systems give to outgoing connections, for a server comes back to its port
// after its death, and no connection must have taken it meanwhile.

import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)

/** What `localhost` can mean here. */
export const LOOPBACK: readonly string[] = hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']

/** Ports that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = anyPort()
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

/** A free port on 127.0.0.1, without waiting. */
export function freePort(): number {
  for (;;) {
    const port = anyPort()
    try {
      Bun.listen({ hostname: '127.0.0.1', port, socket: { data() {} } }).stop(true)
      return port
    } catch {
      // Somebody listens there.
    }
  }
}

/** Whether nobody listens on this port of the loopback addresses. */
export async function isFree(port: number): Promise<boolean> {
  for (const host of LOOPBACK) {
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen({ port, host }, () => resolve(true))
    })
    if (free) await new Promise((resolve) => server.close(resolve))
    if (!free) return false
  }
  return true
}

const [FIRST, COUNT] = [20_000, 12_000]
let next = Math.floor(Math.random() * COUNT)

/** One after the other from a random one on: of parts that run at once, none gets a port that another has but does not listen on yet. */
function anyPort(): number {
  next = (next + 1) % COUNT
  return FIRST + next
}
