// The public port: what every request passes (id, headers, timer, one log line) and where it goes.
// Everything that is refused here has the shape of a GraphQL error, with a code.

import type { Context as HonoContext } from 'hono'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { routePath } from 'hono/route'
import type { Config } from '../config.ts'
import { ANY_LOCALHOST } from '../config.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'
import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import { readGraphQLRequest } from '../graphql/request.ts'
import { answerType, refuse, wireError } from '../graphql/response.ts'
import type { GraphQLServer } from '../graphql/yoga.ts'
import type { KeyRing } from '../keys/keys.ts'
import { keyRoutes } from '../keys/routes.ts'
import type { Log } from '../observability/log.ts'
import { describeError, withLogContext } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import type { EndedSessions } from '../sessions/ended.ts'
import type { AccessTokens } from '../tokens/access-token.ts'
import { readClient } from './client.ts'
import type { Graphiql } from './graphiql.ts'
import type { Health } from './health.ts'
import { healthRoutes } from './health.ts'
import { pathOf } from './path.ts'
import { readViewer, sendsToken } from './viewer.ts'

/** What the routes are made from. */
export interface RouteOptions {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly keys: KeyRing
  readonly tokens: AccessTokens
  readonly ended: EndedSessions
  readonly graphql: GraphQLServer
  readonly health: Health
  /** Whether SIGTERM was received: every answer then tells client and edge to go elsewhere. */
  readonly draining: () => boolean
  /** The page for browsers at `GET /graphql`, where it is on. */
  readonly graphiql: Graphiql | undefined
}

/** The socket's peer is handed in by the listener; the client of a request is found out here. */
export type Env = { Bindings: { peer: string }; Variables: { client: Client } }
type Context = HonoContext<Env>

/** How long a request may take before it is answered with `SERVICE_UNAVAILABLE`: less than the edge waits. */
export const REQUEST_DEADLINE_MS = 8_000

const SECURITY_HEADERS = [
  ['cache-control', 'no-store'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['referrer-policy', 'no-referrer'],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
] as const

/** The app of the public port. */
export function createRoutes(options: RouteOptions): Hono<Env> {
  const { config, metrics, keys, tokens, ended, graphql, health, graphiql, log } = options
  const app = new Hono<Env>({ getPath: pathOf })
  app.use(observe(options))
  app.use(metrics.httpMiddleware)
  if (config.corsOrigins.length > 0) app.use('/graphql', cors(corsOptions(config.corsOrigins)))
  app.all('/graphql', (c) => inTime(c, () => serveGraphQL(c)))
  app.route('/', keyRoutes(keys, config.jwksMaxAge))
  app.route('/', healthRoutes(health))
  if (config.mode === 'dev') app.get('/', (c) => c.html(landingPage(config)))
  app.notFound((c) => refusal(c, 'NOT_FOUND'))
  app.onError((error, c) => {
    if (error instanceof AuthError) return refusal(c, error.code, error.details)
    log.error('request.failed', describeError(error))
    return refusal(c, 'INTERNAL_SERVER_ERROR')
  })
  return app

  async function serveGraphQL(c: Context): Promise<Response> {
    const request = c.req.raw
    if (
      graphiql &&
      request.method === 'GET' &&
      request.headers.get('accept')?.includes('text/html')
    )
      return await graphiql(request)
    const params = await readGraphQLRequest(request)
    const viewer = await readViewer(request.headers, tokens, ended)
    const answerTo = {
      type: answerType(request.headers.get('accept')),
      tokenSent: sendsToken(request.headers),
    }
    return await graphql({ params, client: c.get('client'), viewer, answerTo })
  }

  /** A body that is still coming is not waited for, and what is not read is not executed; work that began goes on. */
  async function inTime(c: Context, work: () => Promise<Response>): Promise<Response> {
    const { promise: late, resolve } = Promise.withResolvers<Response>()
    const timer = setTimeout(
      () => resolve(refusal(c, 'SERVICE_UNAVAILABLE', { retryAfter: 1 })),
      REQUEST_DEADLINE_MS,
    )
    try {
      return await Promise.race([work(), late])
    } finally {
      clearTimeout(timer)
    }
  }

  function refusal(c: Context, code: ErrorCode, details: ErrorDetails = {}): Response {
    const { requestId } = c.get('client')
    return refuse(wireError(code, details, { language: config.messageLanguage, requestId }))
  }
}

/** Asked every second by whoever balances the load: in the log only for who looks for it. */
const QUIET: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** The outermost layer: gives the request its id and its client, the answer its headers, the log its line. */
function observe({ config, clock, random, log, draining }: RouteOptions) {
  return async (c: Context, next: () => Promise<void>): Promise<void> => {
    const client = readClient(c.req.raw, c.env.peer, config, random)
    const started = clock.elapsed()
    c.set('client', client)
    await withLogContext({ requestId: client.requestId }, async () => {
      await next()
      decorate(c, client, draining())
      const route = routePath(c, -1)
      log.request({
        level: QUIET.has(route) ? 'debug' : 'info',
        time: clock.now(),
        requestId: client.requestId,
        method: c.req.method,
        route,
        status: c.res.status,
        ms: Math.round((clock.elapsed() - started) * 10) / 10,
        clientAddress: client.address,
        userAgent: client.userAgent,
      })
    })
  }
}

function decorate(c: Context, { requestId }: Client, draining: boolean): void {
  const { headers } = c.res
  for (const [name, value] of SECURITY_HEADERS) if (!headers.has(name)) headers.set(name, value)
  headers.set('x-request-id', requestId)
  if (!draining) return
  headers.set('connection', 'close')
  headers.set('x-envoy-immediate-health-check-fail', 'true')
}

function corsOptions(origins: readonly string[]) {
  const anyLocalhost = origins.includes(ANY_LOCALHOST)
  return {
    origin: (origin: string) =>
      origins.includes(origin) || (anyLocalhost && /^http:\/\/localhost(?::\d{1,5})?$/.test(origin))
        ? origin
        : null,
    allowMethods: ['POST'],
    // Any header may be asked for: which origins may, is decided above, and no cookie is ever read.
    allowHeaders: [],
    exposeHeaders: ['Retry-After', 'WWW-Authenticate', 'X-Request-Id'],
    maxAge: 600,
  }
}

function landingPage({ issuerUrl }: Config): string {
  const links = [
    ['/graphql', 'GraphQL, with GraphiQL for browsers'],
    ['/.well-known/jwks.json', 'the public keys that verify our tokens'],
    ['/livez', 'alive'],
    ['/readyz', 'ready to serve'],
  ]
  const rows = links
    .map(([path, what]) => `<li><a href="${path}"><code>${path}</code></a> – ${what}</li>`)
    .join('')
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Munjigi</title><h1>Munjigi 문지기</h1><p>A GraphQL auth server, running for development. Tokens name <code>${Bun.escapeHTML(issuerUrl)}</code> as their issuer.</p><ul>${rows}</ul></html>`
}
