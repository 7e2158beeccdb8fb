// Through the edge: the native stack of `npm run up` with TLS and three replicas, and beside it a second Envoy with the
// same configuration, in front of three bare echoes. What both cost is counted with Envoy's own CPU.

import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../e2e/ports.ts'
import type { Stack } from '../e2e/stack.ts'
import { startStack } from '../e2e/stack.ts'
import type { Tools } from '../e2e/tools.ts'
import { findTools } from '../e2e/tools.ts'
import { until } from '../e2e/until.ts'
import { meCount } from './counts.ts'
import type { Load } from './drive.ts'
import { CONNECTIONS, makeAccounts, meRequests } from './real.ts'
import { writeRequests } from './requests.ts'
import type { Server, Stage } from './stage.ts'
import { complaintsIn, patience } from './stage.ts'

/** What is measured through the edge, or why nothing is. */
export interface Edges {
  readonly subjects: readonly { readonly name: string; readonly load: Load }[]
  readonly skipped: readonly string[]
}

const REPLICAS = 3
/** All load comes from one address. */
const NO_FLOOD = 10_000_000

/** Starts both edges. They end with the stage. */
export async function createEdges(stage: Stage): Promise<Edges> {
  const tools = await findTools().catch((error: Error) => error)
  if (tools instanceof Error) return { subjects: [], skipped: [`edge: ${tools.message}`] }
  const logs = stage.path('edge-logs')
  mkdirSync(logs)
  const stack = await startStack({
    folder: stage.path('stack'),
    replicas: REPLICAS,
    floodLimit: NO_FLOOD,
    // As that of every server here: through a pipe to us we would work on the cores we measure.
    logFolder: logs,
    env: { MUNJIGI_ACCESS_TOKEN_TTL: '12h', ...patience() },
  })
  stage.use(stack.stop)
  const accounts = await makeAccounts(`http://${stack.replicas[0]?.address}`)
  const echo = await startEchoEdge(stage, tools, stack)
  const common = {
    cores: undefined,
    connections: CONNECTIONS.light,
    file: writeRequests(stage.path('edge.tsv'), meRequests(accounts)),
  }
  return {
    subjects: [
      { name: 'edgeEcho', load: { ...common, server: echo, counted: undefined } },
      {
        name: 'edgeMe',
        load: { ...common, server: serverOf(stack, logs), counted: meCount(stack.replicas) },
      },
    ],
    skipped: [],
  }
}

function serverOf({ url, edge, replicas }: Stack, logs: string): Load['server'] {
  const pids = [edge, ...replicas].map(({ pid = 0 }) => pid)
  const complaints = () =>
    complaintsIn([edge, ...replicas].flatMap(({ lines }) => lines).join('\n'))
  const emptyLog = () => {
    for (const file of readdirSync(logs)) truncateSync(join(logs, file))
  }
  return { url, pids, complaints, emptyLog }
}

/** The same configuration but for ports, sockets and files. */
async function startEchoEdge(stage: Stage, tools: Tools, stack: Stack): Promise<Load['server']> {
  const old = [...stack.replicas.map(({ port }) => port), ...Object.values(stack.ports)]
  const free = await freePorts(old.length)
  const echoes = await Promise.all(
    free
      .slice(0, REPLICAS)
      .map((port) =>
        stage.start({ args: ['bench/echo.ts', 'bare', '{}', String(port)], cores: undefined }),
      ),
  )
  const config = join(stage.path('stack'), 'echo.json')
  const text = readFileSync(join(stage.path('stack'), 'envoy.json'), 'utf8')
    .replaceAll('admin.sock', 'echo-admin.sock')
    .replaceAll('edge-events.log', 'echo-events.log')
    .replaceAll(/(?<="port_value": )\d+/g, (port) =>
      String(free[old.indexOf(Number(port))] ?? port),
    )
  writeFileSync(config, text)
  const url = `https://localhost:${free[old.indexOf(stack.ports.https)]}`
  const envoy = await stage.start({
    command: tools.envoy,
    args: ['--config-path', config, '--concurrency', '2', '--use-dynamic-base-id'],
    started: (log) => (log.includes('starting workers') ? { url } : undefined),
    cores: undefined,
  })
  await until('the edge in front of the echoes answers', () => answers(url, stack.ca.text))
  const all: readonly Server[] = [envoy, ...echoes]
  return { ...envoy, url, pids: all.flatMap(({ pids }) => pids) }
}

async function answers(url: string, ca: string): Promise<boolean> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
    tls: { ca },
  }).catch(() => undefined)
  return response?.ok === true
}
