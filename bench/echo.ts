// The ceilings of HTTP: a Hono server that answers a JSON POST with what it was sent. `bare`: nothing else.
// `dressed`: with what any service like ours puts around an answer, made from the usual parts.

import { prometheus } from '@hono/prometheus'
import { Hono } from 'hono'
import { getConnInfo } from 'hono/bun'
import { requestId } from 'hono/request-id'
import { routePath } from 'hono/route'
import { Registry } from 'prom-client'

const [kind = 'bare', headers = '{}', port = '0'] = process.argv.slice(2)
const app = kind === 'bare' ? new Hono() : dressed(JSON.parse(headers) as Record<string, string>)
app.post('/graphql', async (c) => c.json(await c.req.json()))
// The edge asks before it sends anything.
app.get('/readyz', (c) => c.text('ready'))

const server = Bun.serve({ hostname: '127.0.0.1', port, development: false, fetch: app.fetch })
console.log(JSON.stringify({ event: 'server.started', url: `http://127.0.0.1:${server.port}` }))
process.once('SIGTERM', () => process.exit())

/** `headers`: those of a real answer, so that both carry the same; its line has what the line of a real one has. */
function dressed(headers: Record<string, string>): Hono {
  const hono = new Hono()
  const { registerMetrics } = prometheus({ registry: new Registry() })
  hono.use(requestId(), registerMetrics, async (c, next) => {
    const started = performance.now()
    await next()
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value)
    console.log(
      JSON.stringify({
        time: new Date().toISOString(),
        level: 'info',
        event: 'http.request',
        requestId: c.get('requestId'),
        method: c.req.method,
        route: routePath(c, -1),
        status: c.res.status,
        ms: Math.round((performance.now() - started) * 10) / 10,
        clientAddress: getConnInfo(c).remote.address,
        userAgent: c.req.header('user-agent'),
      }),
    )
  })
  return hono
}
