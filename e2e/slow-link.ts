// A link to a server that can be made slow or held, and that counts the requests that pass it.

import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** The link. Disposing of it cuts it. */
export interface SlowLink extends AsyncDisposable {
  /** To be used in the place of the server's. */
  readonly url: string
  /** POST requests that have passed to the server; it goes on growing. */
  readonly posts: number
  /** How many milliseconds each request is delayed. */
  delay: number
  /** Lets nothing pass, in either direction, until it is let go. */
  hold(): void
  letGo(): void
}

/** Makes a link to the server at `url`, which may come and go. */
export async function startSlowLink(url: string): Promise<SlowLink> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let [delay, posts, held] = [0, 0, false]
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      if (held) socket.pause()
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    near.on('data', (chunk) => {
      posts += chunk.toString('latin1').split('POST /').length - 1
      // Timers of one length end in the order in which they began.
      if (delay > 0) setTimeout(() => far.write(chunk), delay)
      else far.write(chunk)
    })
    far.on('data', (chunk) => near.write(chunk))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get posts() {
      return posts
    },
    get delay() {
      return delay
    },
    set delay(milliseconds) {
      delay = milliseconds
    },
    hold() {
      held = true
      for (const socket of sockets) socket.pause()
    },
    letGo() {
      held = false
      for (const socket of sockets) socket.resume()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
