// A link between a client and a server on which an answer can come late, or get lost after the server has done its work: every
// request reaches the server, and every answer is the server's own.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The link. Disposing of it cuts it. */
export interface Link extends AsyncDisposable {
  /** To be used in the place of the server's. */
  readonly url: string
  /** The operations that have passed to the server, by their first name; it goes on growing. */
  readonly passed: readonly string[]
  /** Holds the next answer to this operation. Resolves when the server has given it: then it can be let go, or lost. */
  catch(operation: string): Promise<Caught>
}

/** An answer on its way. */
export interface Caught {
  letGo(): void
  lose(): void
}

/** Makes a link to the server at `url`. */
export async function startLink(url: string): Promise<Link> {
  const passed: string[] = []
  const traps = new Map<string, (caught: Caught) => void>()
  const server = createServer(async (request, response) => {
    const body = await readBody(request)
    const name = /(?:query|mutation) (\w+)/.exec(body)?.[1] ?? ''
    passed.push(name)
    const answer = await fetch(`${url}${request.url}`, {
      method: 'POST',
      headers: headersOf(request),
      body,
    })
    const text = await answer.text()
    const fate = await fateOf(name)
    if (fate === 'lost') request.socket.destroy()
    else reply(response, answer, text)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    passed,
    catch: (operation) => new Promise((resolve) => traps.set(operation, resolve)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  function fateOf(name: string): Promise<'passes' | 'lost'> {
    const trap = traps.get(name)
    traps.delete(name)
    return new Promise((resolve) => {
      if (!trap) return resolve('passes')
      trap({ letGo: () => resolve('passes'), lose: () => resolve('lost') })
    })
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** The headers that the server looks at. */
function headersOf({ headers }: IncomingMessage): Headers {
  const passing = ['content-type', 'accept', 'authorization'] as const
  return new Headers(passing.flatMap((name) => (headers[name] ? [[name, headers[name]]] : [])))
}

function reply(response: ServerResponse, answer: Response, text: string): void {
  const type = answer.headers.get('content-type') ?? 'application/json'
  response.writeHead(answer.status, { 'content-type': type }).end(text)
}
