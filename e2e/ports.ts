// Ports for what is started here: below those that systems give to outgoing connections, for a server comes back to its port
// after its death, and no connection must have taken it meanwhile.

import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)

/** What `localhost` can mean here. */
export const LOOPBACK: readonly string[] = hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']

/** Ports that nobody listens on, and that nobody else is given while this process lives. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = []
  while (found.length < count) {
    const port = anyPort()
    if (reserve(port) && (await isFree(port))) found.push(port)
  }
  return found
}

/** Settings of `npm run up` for such ports. */
export async function freeEdgePorts(): Promise<Record<string, string>> {
  const names = ['HTTPS', 'HTTP', 'CONSOLE', 'METRICS'].map((name) => `EDGE_${name}_PORT`)
  const ports = await freePorts(names.length)
  return Object.fromEntries(names.map((name, at) => [name, String(ports[at])]))
}

/** Such a port on 127.0.0.1, without waiting. */
export function freePort(): number {
  for (;;) {
    const port = anyPort()
    const probe = reserve(port) && listenOn(port)
    if (!probe) continue
    probe.stop(true)
    return port
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

const [FIRST, COUNT] = [20_000, 6_000]
let next = Math.floor(Math.random() * COUNT)

/** One after the other from a random one on, so that few are asked for in vain. */
function anyPort(): number {
  next = (next + 1) % COUNT
  return FIRST + next
}

/**
 * Whether a port is ours now: nobody may listen there for a while yet, and of parts that run at once another could take it. Whoever
 * has a port listens on another one that belongs to it, as long as the process lives.
 */
function reserve(port: number): boolean {
  const reservation = listenOn(port + COUNT)
  reservation?.unref()
  return reservation !== null
}

/** Null where somebody listens already. */
function listenOn(port: number) {
  try {
    return Bun.listen({ hostname: '127.0.0.1', port, socket: { data() {} } })
  } catch {
    return null
  }
}
