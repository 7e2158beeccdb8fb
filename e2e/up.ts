// `npm run up`: the whole stack on this machine without containers, shown live, until Ctrl-C. What it starts it ends, and
// what it writes it removes, unless `--data <folder>` says where to keep it. A part that dies is started again.

import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { ConsoleView } from '../envoy/console.ts'
import type { EdgeListener } from '../envoy/render.ts'
import { EdgeSettingFault, readEdgeSettings, readPort } from '../envoy/render.ts'
import { walk } from '../src/cli/welcome.ts'
import { askDirectly } from './direct.ts'
import { hasPrometheus, startMonitoring } from './monitoring.ts'
import { fail } from './output.ts'
import { isFree } from './ports.ts'
import type { Part, Stack, StackEvent } from './stack.ts'
import { controlSocket, readPorts, startStack } from './stack.ts'
import type { Memory, Paint } from './status.ts'
import { clock, columns, createMemory, createScreen, painter, paintState } from './status.ts'
import { ToolsMissing } from './tools.ts'

const USAGE = `npm run up [-- --data <folder>] [--replicas <count>]

  --data <folder>     keep database, secrets and certificate there for the next time
  --replicas <count>  how many replicas, 1 to 9 (3)

  EDGE_HOST, EDGE_HEALTH_CHECK, EDGE_HTTPS_PORT, EDGE_HTTP_PORT, EDGE_CONSOLE_PORT, EDGE_METRICS_PORT: see docs/edge.md
  PROMETHEUS_PORT: of Prometheus, where it is installed (9090)
  MUNJIGI_…: settings of the replicas`

/** What keeps `up` from starting; the message is for the person at the terminal. */
class CannotStart extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

/**
 * A client that follows logs, or waits for a replica that drains, may get nothing for a long time. Bun's types know this for
 * ports only, and `server.timeout` of a request lasts until its answer begins.
 */
const PATIENT: object = { idleTimeout: 0 }

if (import.meta.main) {
  try {
    await up()
  } catch (error) {
    const { message, exitCode } = explain(error)
    process.exitCode = fail(message, exitCode)
  }
}

async function up(): Promise<void> {
  // sqld would have its files read by everybody.
  process.umask(0o077)
  askDirectly()
  const options = readArguments(process.argv.slice(2))
  const edge = readEdgeSettings(process.env)
  const ports = readPorts(process.env)
  await requireFree(ports)
  const stopping = signal()
  const paint = painter(process.stdout.isTTY === true)
  const screen = createScreen(process.stdout)
  const say = (part: string, text: string) =>
    // The terminal has just written ^C at the beginning of this line.
    screen.say([
      `\r  ${paint('dim', clock(new Date()))}  ${part === '' ? '' : part.padEnd(11)}${text}`,
    ])

  screen.say([
    '',
    `  ${paint('bold', 'Munjigi 문지기')} ${paint('dim', 'starting the edge, the replicas and the database …')}`,
    '',
  ])
  const listening: Listening = new Set()
  const stack = await startStack({
    ...options,
    edge,
    ports,
    restart: true,
    env: ownSettings(),
    onEvent: ({ part, text }) => say(part, paint('yellow', text)),
    onLine: (line) => {
      for (const listen of listening) listen(line)
    },
  })
  await using _ = stack
  const memory = createMemory()
  using _control = listenForOthers(stack, memory, listening)
  const port = readPort('PROMETHEUS_PORT', process.env) ?? 9090
  const unmonitored = await whyUnmonitored(port)
  await using monitoring = unmonitored ? null : await startMonitoring(stack, { port })
  const metrics = [monitoring?.url ?? 'none', unmonitored ?? 'Prometheus, with the alerts'] as const
  screen.say(welcome(stack, metrics, paint))
  const show = (view: ConsoleView | null) =>
    screen.show(indent(partsTable(stack, view, memory, paint)))
  const ended = await watchUntil(stopping, stack, memory, show)
  screen.clear()
  say('', `${ended}: stopping everything …`)
  await stack.stop()
  say('', options.folder ? `stopped; the data is in ${options.folder}` : 'stopped; nothing is left')
}

function readArguments(given: readonly string[]): { folder?: string; replicas?: number } {
  const rest = [...given]
  const options: { folder?: string; replicas?: number } = {}
  while (rest.length > 0) {
    const [name, value] = rest.splice(0, 2)
    if (name === '--data' && value) options.folder = resolve(value)
    else if (name === '--replicas' && /^[1-9]$/.test(value ?? '')) options.replicas = Number(value)
    else throw new CannotStart(USAGE, name === '--help' ? 0 : 64)
  }
  return options
}

/** The settings of replicas that the person gave, without those that the stack sets itself. */
function ownSettings(): Record<string, string | undefined> {
  const fixed =
    /^MUNJIGI_(HOST|PORT|METRICS_.*|DATABASE_.*|SECRET.*|ISSUER_URL|TRUSTED_PEERS|CLIENT_.*)$/
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => name.startsWith('MUNJIGI_') && !fixed.test(name),
    ),
  )
}

async function requireFree(ports: Record<EdgeListener, number>): Promise<void> {
  for (const [listener, port] of Object.entries(ports)) {
    if (await isFree(port)) continue
    const setting = `EDGE_${listener.toUpperCase()}_PORT`
    throw new CannotStart(
      `Port ${port} is in use – by another npm run up? Choose another one: ${setting}=${port + 1} npm run up`,
      69,
    )
  }
}

function signal(): Promise<string> {
  return new Promise((done) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(name, () => done(name === 'SIGINT' ? 'Ctrl-C' : name))
  })
}

/** What keeps Prometheus from its port; null if nothing does. */
async function whyUnmonitored(port: number): Promise<string | null> {
  if (!hasPrometheus()) return 'no prometheus is installed'
  return (await isFree(port)) ? null : `${port} is in use; PROMETHEUS_PORT chooses another one`
}

function welcome(
  { url, ports, consoleUrl, ca }: Stack,
  metrics: readonly [url: string, remark: string],
  paint: Paint,
): string[] {
  const fact = (name: string, value: string, remark = '') =>
    `  ${name.padEnd(9)} ${value}${remark && `  ${paint('dim', remark)}`}`
  return [
    fact('GraphQL', paint('bold', `${url}/graphql`)),
    fact('Keys', `${url}/.well-known/jwks.json`),
    fact('Console', consoleUrl, 'as a table: npm run status'),
    fact('Metrics', ...metrics),
    fact('Plain', `http://localhost:${ports.http}`, 'sends browsers to HTTPS, refuses the rest'),
    fact('CA', ca.path, 'another one at each start, unless --data keeps it'),
    '',
    `  ${paint('bold', 'Try it')} ${paint('dim', '– paste these one after the other into another terminal')}`,
    '',
    `  ${paint('dim', '# 0. trust this CA, in curl')}`,
    `  export CURL_CA_BUNDLE='${ca.path}'`,
    '',
    ...walk(`${url}/graphql`).flatMap(({ title, command }) => [
      `  ${paint('dim', `# ${title}`)}`,
      `  ${command}`,
      '',
    ]),
    `  ${paint('dim', 'npm run rollout replaces the replicas one by one. Ctrl-C stops everything.')}`,
    '',
  ]
}

/** Looks at the console every second. Without a terminal it is shown once, and then only what happens is said. */
async function watchUntil(
  stopping: Promise<string>,
  stack: Stack,
  memory: Memory,
  show: (view: ConsoleView | null) => void,
): Promise<string> {
  for (let looks = 0; ; looks += 1) {
    const view = await stack.console()
    if (view) memory.look(view, new Date())
    if (process.stdout.isTTY || looks === 0) show(view)
    const ended = await Promise.race([stopping, Bun.sleep(1_000).then(() => null)])
    if (ended) return ended
  }
}

function indent(lines: readonly string[]): string[] {
  return ['', ...lines.map((line) => `  ${line}`), '']
}

/** The processes, and what the edge counts of those behind it. */
function partsTable(stack: Stack, view: ConsoleView | null, memory: Memory, paint: Paint) {
  const head = ['', 'state', 'address', 'process', 'requests', 'errors', 'active', 'since']
  const rows = stack.parts.map((part) => {
    const seen = view?.replicas.find(({ name }) => name === part.name)
    const counts = seen ? [seen.requests, seen.errors, seen.active] : []
    return [
      ...[part.name, part.state === 'running' && seen ? seen.state : part.state],
      ...[part.address, String(part.pid ?? '–')],
      ...(seen ? counts.map((count) => count.toLocaleString('en')) : ['', '', '']),
      sinceOf(part, memory),
    ]
  })
  const [first = '', ...lines] = columns([head, ...rows], new Set([3, 4, 5, 6]))
  return [paint('dim', first), ...lines.map((line, row) => paintState(line, rows[row]?.[1], paint))]
}

/** A replica is in its state since the edge saw it there, or since its process began: whichever came later. */
function sinceOf(part: Part, memory: Memory): string {
  const seen = memory.since(part.name)
  return clock(seen && seen > part.since ? seen : part.since)
}

/** Called with every line of output. */
type Listening = Set<(line: StackEvent) => void>

/**
 * Answers `npm run rollout`, a line for each step as it happens, tells `npm run status` since when, and `npm run logs` what
 * the parts wrote and write.
 */
function listenForOthers(stack: Stack, memory: Memory, listening: Listening): Disposable {
  const unix = controlSocket(stack.ports.https)
  mkdirSync(join(unix, '..'), { recursive: true })
  // Left by one that was killed: our port was free, so nobody listens there.
  rmSync(unix, { force: true })
  let running = false
  const server = Bun.serve({
    unix,
    ...PATIENT,
    fetch(request) {
      if (new URL(request.url).pathname === '/logs') return new Response(follow(stack, listening))
      if (request.method === 'GET') {
        const all = stack.replicas.map((part) => [part.name, sinceOf(part, memory)])
        return Response.json(Object.fromEntries(all))
      }
      if (running) return new Response('another rollout is running\n', { status: 409 })
      running = true
      return new Response(rollout())
    },
  })
  return {
    [Symbol.dispose]() {
      void server.stop(true)
      rmSync(unix, { force: true })
    },
  }

  /** Goes on to its end whether or not anybody still reads the answer. */
  function rollout(): ReadableStream<Uint8Array> {
    return streamOfLines((say, end) => {
      void replaceAll(say).finally(() => {
        running = false
        end()
      })
      return () => {}
    })
  }

  async function replaceAll(say: (line: string) => void): Promise<void> {
    try {
      for (const replica of stack.replicas) {
        say(`${replica.name} drains …`)
        await stack.replace(replica)
        say(`${replica.name} is new (process ${replica.pid}) and gets requests`)
      }
      say('done')
    } catch (error) {
      say(`failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

/** The last lines of every part, and each one from now on, until the reader goes. */
function follow(stack: Stack, listening: Listening): ReadableStream<Uint8Array> {
  return streamOfLines((say) => {
    const hear = ({ text }: StackEvent) => say(text)
    for (const part of stack.parts) for (const text of part.lines) say(text)
    listening.add(hear)
    return () => void listening.delete(hear)
  })
}

/** A stream of what `begin` says, until it ends. Once the reader has gone, the function that `begin` returned is called. */
function streamOfLines(
  begin: (say: (line: string) => void, end: () => void) => () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let isRead = true
  let onGone = () => {}
  return new ReadableStream({
    start(controller) {
      const say = (line: string) => {
        if (isRead) controller.enqueue(encoder.encode(`${line}\n`))
      }
      const end = () => {
        if (isRead) controller.close()
      }
      onGone = begin(say, end)
    },
    cancel() {
      isRead = false
      onGone()
    },
  })
}

function explain(error: unknown): { message: string; exitCode: number } {
  if (error instanceof CannotStart) return error
  if (error instanceof EdgeSettingFault) return { message: error.message, exitCode: 78 }
  if (error instanceof ToolsMissing) return { message: error.message, exitCode: 69 }
  if (error instanceof Error) return { message: error.message, exitCode: 1 }
  throw error
}
