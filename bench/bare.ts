// The real `/graphql` in a Hono app, and nothing around it: no request id, no client, no deadline, no metrics of HTTP, no
// line. Beside the bare echo it says what GraphQL, the token and the answer cost. Settings: as `serve` reads them.

import { Hono } from 'hono'
import { createCore } from '../src/app.ts'
import { readSettings } from '../src/config.ts'
import { readGraphQLRequest } from '../src/graphql/request.ts'
import { answerType } from '../src/graphql/response.ts'
import { createGraphQLServer } from '../src/graphql/yoga.ts'
import { readBearer, toViewer } from '../src/http/viewer.ts'
import { createReport } from '../src/observability/events.ts'
import { startLog } from '../src/observability/log.ts'
import { createMetrics } from '../src/observability/metrics.ts'
import { systemClock as clock } from '../src/platform/clock.ts'
import { systemRandom as random } from '../src/platform/random.ts'
import { createSchema } from '../src/schema.ts'
import { openDatabase } from '../src/storage/database.ts'

const source = { environment: process.env, readFile: () => '', onTerminal: false }
const config = readSettings('serve', source)
const log = startLog({ level: 'info', format: 'json' })
const metrics = createMetrics('bench')
const shared = { clock, random, log, metrics }
const core = await createCore({
  ...shared,
  config,
  database: await openDatabase({ ...shared, url: config.databaseUrl }),
  report: createReport(log, metrics),
  hashingCost: { memoryKib: config.passwordHashMemory * 1_024, passes: config.passwordHashPasses },
})
const { tokens, ended } = core
const execute = createGraphQLServer({
  ...shared,
  schema: createSchema(core),
  language: config.messageLanguage,
  introspection: config.introspection,
  onCredentialFlood: async () => {},
})
const client = { address: '', userAgent: '', requestId: '' }

const app = new Hono().post('/graphql', async ({ req: { raw } }) => {
  const params = await readGraphQLRequest(raw)
  const token = readBearer(raw.headers)
  const claims = token === undefined ? null : await tokens.verify(token)
  const type = answerType(raw.headers.get('accept'))
  const answerTo = { type, tokenSent: token !== undefined }
  return await execute({ params, client, viewer: () => toViewer(claims, ended), answerTo })
})
const server = Bun.serve({ hostname: '127.0.0.1', port: 0, development: false, fetch: app.fetch })
log.info('server.started', { url: `http://127.0.0.1:${server.port}` })
process.once('SIGTERM', () => process.exit())
