// Listening on a port, and what a taken one means.

/** A listening socket. */
export interface Listener {
  readonly url: string
  readonly port: number
  /** Replaces what answers. */
  answer(fetch: Answer): void
  /** Stops accepting; resolves when what runs has been answered. */
  close(): Promise<void>
}

/** Answers one request of the socket address `peer`. */
export type Answer = (request: Request, peer: string) => Response | Promise<Response>

/** The port is in use; `serve` says so and ends, `dev` tries the next one. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'
  constructor(port: number) {
    super(`port ${port} is already in use`)
  }
}

/** Above the edge's 30 s, so that it is the edge that closes idle connections, never we under its hands. */
const IDLE_SECONDS = 120

/** Listens on one port; 0 means any free one. Throws `PortTaken`. Until `answer` is called everything gets a 503. */
export function listen(hostname: string, port: number): Listener {
  let answer: Answer = () => new Response(null, { status: 503 })
  const server = start()
  return {
    url: `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${server.port}`,
    port: server.port ?? port,
    answer(fetch) {
      answer = fetch
    },
    close: () => server.stop(),
  }

  function start() {
    try {
      return Bun.serve({
        hostname,
        port,
        idleTimeout: IDLE_SECONDS,
        development: false,
        fetch: (request, self) => answer(request, self.requestIP(request)?.address ?? ''),
      })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
        throw new PortTaken(port)
      throw error
    }
  }
}

/** Listens on the first free port from `port` upwards. */
export function listenNear(hostname: string, port: number): Listener {
  for (let candidate = port; ; candidate += 1) {
    try {
      return listen(hostname, candidate)
    } catch (error) {
      if (!(error instanceof PortTaken) || candidate >= Math.min(port + 100, 65_535)) throw error
    }
  }
}
