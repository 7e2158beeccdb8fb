// Listening on a port, and what a taken one means.

import type { Log } from '../observability/log.ts'
import { describeError } from '../observability/log.ts'
import { systemCode } from '../platform/system-error.ts'

/** A listening socket. */
export interface Listener {
  readonly url: string
  readonly port: number
  /** Replaces what answers. */
  answer(fetch: Answer): void
  /** Stops accepting; resolves when what runs has been answered, or cut off after `patience` milliseconds. */
  close(patience: number): Promise<void>
}

/** Answers one request of the socket address `peer`, which is never empty. */
export type Answer = (request: Request, peer: string) => Response | Promise<Response>

/** The port is in use; `serve` says so and ends, `dev` tries the next one. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'
  constructor(port: number) {
    super(`port ${port} is already in use`)
  }
}

/** The address is not ours, or not ours to use. */
export class CannotListen extends Error {
  override readonly name = 'CannotListen'
  constructor(hostname: string, port: number, code: string) {
    super(`cannot listen on ${hostname}:${port} (${code})`)
  }
}

/**
 * Above the edge's 5 s, so that the edge closes idle connections, and never we while it is about to use one. Bun counts it from
 * the end of a request; a connection without a request so far is closed after 8 to 13 s, whatever is set here.
 */
const IDLE_SECONDS = 120

/** Listens on one port; 0 means any free one. Throws `PortTaken`. Until `answer` is called everything gets a 503. */
export function listen(hostname: string, port: number, log: Log): Listener {
  let answer: Answer = () => new Response(null, { status: 503 })
  const server = start()
  return {
    url: `http://${nameFor(hostname)}:${server.port}`,
    port: server.port ?? port,
    answer(fetch) {
      answer = fetch
    },
    async close(patience) {
      // A client that does not finish its request, or does not read its answer, would keep us for ever.
      const timer = setTimeout(() => void server.stop(true), patience)
      await server.stop()
      clearTimeout(timer)
    },
  }

  function start() {
    try {
      return Bun.serve({
        hostname,
        port,
        idleTimeout: IDLE_SECONDS,
        development: false,
        // Bun would share the port with another process of ours, and half of the requests would go to its database.
        reusePort: false,
        // The limit is ours (100 KiB), with a coded answer; Bun's own answer has no code.
        maxRequestBodySize: Number.MAX_SAFE_INTEGER,
        // Should not happen: `answer` has an answer for every fault.
        error(fault) {
          log.error('request.failed', describeError(fault))
          return new Response(null, { status: 500 })
        },
        fetch(request, self) {
          const peer = self.requestIP(request)
          return peer ? answer(request, peer.address) : forNobody()
        },
      })
    } catch (error) {
      const code = systemCode(error) ?? 'unknown'
      if (code === 'EADDRINUSE' && !isOurs(hostname))
        throw new CannotListen(hostname, port, 'EADDRNOTAVAIL')
      if (code === 'EADDRINUSE') throw new PortTaken(port)
      throw new CannotListen(hostname, port, code)
    }
  }
}

/**
 * The connection was reset before its request was begun: there is no address any more to log, to charge or to believe, and nobody
 * to read an answer. It is not executed, or whoever resets would guess and act from no address at all.
 */
function forNobody(): Response {
  return new Response(null, { status: 503 })
}

/** For a name that has no address Bun tells an earlier error of the process, maybe of a taken port: then no other port will do. */
function isOurs(hostname: string): boolean {
  try {
    void Bun.serve({ hostname, port: 0, fetch: () => new Response() }).stop()
    return true
  } catch {
    return false
  }
}

/** An address that a browser on this machine can open. */
function nameFor(hostname: string): string {
  if (hostname === '0.0.0.0' || hostname === '::') return 'localhost'
  return hostname.includes(':') ? `[${hostname}]` : hostname
}

/** Listens on the first free port from `port` upwards. */
export function listenNear(hostname: string, port: number, log: Log): Listener {
  for (let candidate = port; ; candidate += 1) {
    try {
      return listen(hostname, candidate, log)
    } catch (error) {
      if (!(error instanceof PortTaken) || candidate >= Math.min(port + 100, 65_535)) throw error
    }
  }
}
