// The public port: what every request passes (id, headers, timer, one log line) and where it goes.
// Everything that is refused here has the shape of a GraphQL error, with a code.

import type { Context as HonoContext } from 'hono'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { ANY_LOCALHOST } from '../config/values.ts'
import type { Config } from '../config.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'
import { AuthError } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import { readGraphQLRequest } from '../graphql/request.ts'
import { answerType, refuse } from '../graphql/response.ts'
import type { GraphQLServer } from '../graphql/yoga.ts'
import type { KeyRing } from '../keys/keys.ts'
import { keyRoutes } from '../keys/routes.ts'
import type { Log } from '../observability/log.ts'
import { describeError } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createDeadline } from '../platform/deadline.ts'
import type { Random } from '../platform/random.ts'
import { addSecurityHeaders } from '../platform/security-headers.ts'
import type { EndedSessions } from '../sessions/ended.ts'
import type { AccessTokens } from '../tokens/access-token.ts'
import { createClientReader } from './client.ts'
import type { Graphiql } from './graphiql.ts'
import { healthRoutes } from './health.ts'
import { pathOf } from './path.ts'
import { readBearer, toViewer } from './viewer.ts'

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
  /** What `/readyz` rests on: the parts that keep this replica from serving, by name. */
  readonly failing: () => readonly string[]
  /** Whether SIGTERM was received: every answer then tells client and edge to go elsewhere. */
  readonly draining: () => boolean
  /** The page for browsers at `GET /graphql`, where it is on. */
  readonly graphiql: Graphiql | undefined
}

/** Answers one request that came from the socket address `peer`. */
export type Routes = (request: Request, peer: string) => Promise<Response>

type Env = { Bindings: { client: Client; path: string } }
type Context = HonoContext<Env>

/** How long a request may take before it is answered with `SERVICE_UNAVAILABLE`: less than the edge waits. */
export const REQUEST_DEADLINE_MS = 8_000

/** The public port. */
export function createRoutes(options: RouteOptions): Routes {
  const { config, keys, tokens, ended, graphql, failing, graphiql, log } = options
  const deadline = createDeadline(REQUEST_DEADLINE_MS, options.clock)
  const app = new Hono<Env>({
    // `observed` always passes it.
    getPath: (_, { env } = {}) => env?.path ?? '',
  })
  if (config.corsOrigins.length > 0) app.use('/graphql', cors(corsOptions(config.corsOrigins)))
  app.all('/graphql', (c) => inTime(c, serveGraphQL(c)))
  app.route('/', keyRoutes(keys, config.jwksMaxAge))
  app.route('/', healthRoutes(failing))
  if (config.mode === 'dev') app.get('/', (c) => c.html(landingPage(config)))
  app.notFound((c) => refusal(c, 'NOT_FOUND'))
  app.onError((error, c) => {
    if (error instanceof AuthError) return refusal(c, error.code, error.details)
    log.error('request.failed', { requestId: c.env.client.requestId, ...describeError(error) })
    return refusal(c, 'INTERNAL_SERVER_ERROR')
  })
  return observed(app, options)

  async function serveGraphQL(c: Context): Promise<Response> {
    const request = c.req.raw
    if (
      graphiql &&
      request.method === 'GET' &&
      request.headers.get('accept')?.includes('text/html')
    )
      return await graphiql(request)
    const params = await readGraphQLRequest(request)
    const token = readBearer(request.headers)
    const claims = token ? await tokens.verify(token) : null
    const viewer = () => toViewer(claims, ended)
    const answerTo = {
      type: answerType(request.headers.get('accept')),
      tokenSent: token !== undefined,
    }
    return await graphql({ params, client: c.env.client, viewer, answerTo })
  }

  /** A body that is still coming at the deadline is not waited for, and not executed; work that has begun goes on. */
  function inTime(c: Context, work: Promise<Response>): Promise<Response> {
    return deadline.within(work, () => refusal(c, 'SERVICE_UNAVAILABLE', { retryAfter: 1 }))
  }

  function refusal(c: Context, code: ErrorCode, details: ErrorDetails = {}): Response {
    const { requestId } = c.env.client
    return refuse(code, details, { language: config.messageLanguage, requestId })
  }
}

/** Asked every second by whatever balances the load: logged as `debug` only. */
const QUIET: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** The route of every path that is not ours: what is sent there must not make series and lines of its own. */
const ELSEWHERE = '/*'

/** The outermost layer: gives the request its client, the answer its headers, the log its line, the metrics their count. */
function observed(app: Hono<Env>, options: RouteOptions): Routes {
  const { config, clock, random, log, metrics, draining } = options
  const readClientOf = createClientReader(config, random)
  const patterns = new Set(app.routes.map(({ path }) => path))
  return async (request, peer) => {
    const client = readClientOf(request, peer)
    const path = pathOf(request)
    const started = clock.elapsed()
    const response = await app.fetch(request, { client, path })
    const { status, headers } = response
    addSecurityHeaders(headers)
    headers.set('x-request-id', client.requestId)
    if (draining()) sendElsewhere(headers)
    const took = clock.elapsed() - started
    const { method } = request
    // We answer 404 only for a path, or a method on it, that is not ours.
    const route = status !== 404 && patterns.has(path) ? path : ELSEWHERE
    metrics.observeRequest(method, route, { status, seconds: took / 1_000 })
    log.request({
      level: QUIET.has(route) ? 'debug' : 'info',
      time: clock.now(),
      requestId: client.requestId,
      method,
      route,
      status,
      ms: Math.round(took * 10) / 10,
      clientAddress: client.address,
      userAgent: client.userAgent,
    })
    return response
  }
}

/** The client opens a new connection for its next request, and the edge sends it to another replica. */
function sendElsewhere(headers: Headers): void {
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
    // Any header is allowed: which origins may ask is decided above, and no cookie is ever read.
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
