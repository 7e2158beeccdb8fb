// The whole service on one machine without containers: certificate, sqld, replicas, and Envoy with envoy/envoy.yaml.
// The one piece of code behind `npm run up` and the tests. Everything it starts it ends, by process id.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConsoleView, ReplicaState, ReplicaStatus } from '../envoy/console.ts'
import { readConsole } from '../envoy/console.ts'
import type { EdgeListener, EdgeSettings } from '../envoy/render.ts'
import { DEFAULTS, EDGE_YAML, readPort, render } from '../envoy/render.ts'
import type { SecretFiles } from '../src/cli/secrets.ts'
import { makeSecrets } from '../src/cli/secrets.ts'
import { systemRandom } from '../src/platform/random.ts'
import { makeDurable, sqldCommand } from './database.ts'
import { readLines, withOutputTo } from './output.ts'
import { freePorts, LOOPBACK } from './ports.ts'
import type { Tools } from './tools.ts'
import { findTools } from './tools.ts'
import { until } from './until.ts'

/** What to start. By default: what is deployed, on free ports, in a folder that is removed with the stack. */
export interface StackOptions {
  readonly replicas?: number
  readonly edge?: Partial<EdgeSettings>
  readonly ports?: Readonly<Record<EdgeListener, number>>
  /** Where the data, the secrets and the certificate stay. Without it they are removed with the stack. */
  readonly folder?: string
  /** Settings of the replicas beside those a stack always has. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The edge's limits on floods, in requests a second, in all and for one address: load from one machine has one address. */
  readonly floodLimit?: number
  /** Bytes of heap at which the edge counts as full. */
  readonly heapBytes?: number
  /** Whether a part that ends by itself is started again. */
  readonly restart?: boolean
  /** How many lines of output are kept of each part. */
  readonly keepLines?: number
  /**
   * An existing folder that the parts write their output to, a file each. Without it their output comes through us; with it
   * `onLine` is never called, and the `lines` of a part are read from the file each time.
   */
  readonly logFolder?: string
  readonly onEvent?: (event: StackEvent) => void
  /** Each line of output of a part, as it comes. */
  readonly onLine?: (line: StackEvent) => void
}

/** What happened to a part, in words for people. */
export interface StackEvent {
  readonly part: string
  readonly text: string
}

/** All parts, running. Disposing of it ends them. */
export interface Stack extends AsyncDisposable {
  /** As in `https://localhost:8443`, without a slash at the end. */
  readonly url: string
  readonly ports: Readonly<Record<EdgeListener, number>>
  /** The console's URL, without a slash at the end. */
  readonly consoleUrl: string
  /** The CA's certificate: its path, and the text that a client is given. */
  readonly ca: { readonly path: string; readonly text: string }
  readonly replicas: readonly Replica[]
  readonly database: Part
  /** Where Prometheus reads the database's metrics. */
  readonly databaseMetricsUrl: string
  readonly edge: Part
  readonly parts: readonly Part[]
  /** What the edge reports about the replicas, if it answers. */
  console(): Promise<ConsoleView | null>
  /** Resolves when the edge sees this replica in one of these states. Throws after the deadline. */
  seen(replica: Replica, ...states: readonly ReplicaState[]): Promise<ReplicaStatus>
  /** Makes a new certificate at once, by default for 90 days; the edge notices by itself. */
  renewCertificate(days?: number): void
  /** Has a replica drain and end, starts another in its place, and resolves when that gets requests. */
  replace(replica: Replica): Promise<void>
  /** Ends everything. Harmless when it has ended already. */
  stop(): Promise<void>
}

/** One process of the stack. */
export interface Part {
  readonly name: string
  /** As in `127.0.0.1:8443`. */
  readonly address: string
  readonly pid: number | undefined
  /** Since when it is in this state. */
  readonly since: Date
  readonly state: 'starting' | 'running' | 'stopping' | 'ended'
  /** The last lines of its output; it goes on growing. */
  readonly lines: readonly string[]
  /** Starts it and resolves when it answers. Throws with its last lines if it ends before. */
  start(): Promise<void>
  /** SIGTERM, and SIGKILL if that does not help. Resolves to the exit code when it has ended. */
  stop(): Promise<number>
  /** Sends it a signal and waits for nothing. */
  kill(signal: NodeJS.Signals): void
}

/** A process of ours. */
export interface Replica extends Part {
  readonly port: number
  readonly metricsUrl: string
}

/** The ports that docs/edge.md names, or what the environment says instead. Throws `EdgeSettingFault`. */
export function readPorts(
  environment: Readonly<Record<string, string | undefined>>,
): Record<EdgeListener, number> {
  return {
    https: readPort('EDGE_HTTPS_PORT', environment) ?? 8443,
    http: readPort('EDGE_HTTP_PORT', environment) ?? 8080,
    console: readPort('EDGE_CONSOLE_PORT', environment) ?? 8404,
    metrics: readPort('EDGE_METRICS_PORT', environment) ?? 9902,
  }
}

/** Where `npm run up` answers other commands: one place for each port it can have. */
export function controlSocket(httpsPort: number): string {
  return join(ROOT, '.cache', `up-${httpsPort}.sock`)
}

/** That place if a stack answers there, else null: one that was killed leaves its socket behind. */
export async function findControl(httpsPort: number): Promise<string | null> {
  const unix = controlSocket(httpsPort)
  const signal = AbortSignal.timeout(2_000)
  const answers = await fetch('http://localhost/', { unix, signal }).catch(() => null)
  return answers?.ok ? unix : null
}

const ROOT = join(import.meta.dir, '..')

/** Starts everything and resolves when the edge sends requests to all replicas. Throws if a part does not start. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const tools = await findTools()
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'munjigi-stack-'))
  const edge = { ...DEFAULTS, ...options.edge }
  const count = options.replicas ?? 3
  const free = await freePorts(2 * count + 6)
  const next = () => free.pop() ?? 0
  const ports = options.ports ?? { https: next(), http: next(), console: next(), metrics: next() }
  const files = await prepare(folder, edge.hosts)
  const watch = watcher(options)

  const [databasePort, adminPort] = [next(), next()]
  const database = createPart(watch, {
    name: 'database',
    address: `127.0.0.1:${databasePort}`,
    command: [
      ...sqldCommand(tools.sqld, { data: files.database, port: databasePort, adminPort }),
      ...['--auth-jwt-key-file', files.databaseKey],
    ],
    ready: async () =>
      (await answers(`http://127.0.0.1:${databasePort}/health`)) &&
      // Done here, because sqld has to be told at each of its starts.
      (await makeDurable(`http://127.0.0.1:${adminPort}`).then(
        () => true,
        () => false,
      )),
  })
  const replicas = Array.from({ length: count }, (_, index) => {
    const [port, metricsPort] = [next(), next()]
    const part = createPart(watch, {
      name: `replica-${index + 1}`,
      address: `127.0.0.1:${port}`,
      // That it dies with us, should we be killed, is an option of Bun's.
      command: [process.execPath, '--no-orphans', '--no-env-file', 'src/main.ts', 'serve'],
      env: {
        ...replicaSettings(files, { port, metricsPort, databasePort, ports }),
        ...options.env,
      },
      ready: () => answers(`http://127.0.0.1:${port}/readyz`),
    })
    return Object.assign(part, { port, metricsUrl: `http://127.0.0.1:${metricsPort}/metrics` })
  })
  const consoleUrl = `http://127.0.0.1:${ports.console}`
  const envoy = createPart(watch, {
    name: 'edge',
    address: `127.0.0.1:${ports.https}`,
    command: edgeCommand(tools, files, {
      ...{ ...edge, httpsPort: ports.https },
      ports,
      floodLimit: options.floodLimit,
      heapBytes: options.heapBytes,
      replicas: replicas.map(({ name, port }) => ({ name, port })),
    }),
    ready: () => answers(`${consoleUrl}/ready`),
  })

  const parts = [envoy, ...replicas, database]
  let stopped: Promise<void> | undefined
  const stack: Stack = {
    url: `https://localhost:${ports.https}`,
    ports,
    consoleUrl,
    ca: { path: files.ca, text: readFileSync(files.ca, 'utf8') },
    replicas,
    database,
    databaseMetricsUrl: `http://127.0.0.1:${adminPort}/metrics`,
    edge: envoy,
    parts,
    console: () => readConsole(consoleUrl),
    seen,
    renewCertificate: (days = 90) =>
      makeCertificate(files, edge.hosts, { FORCE: '1', LEAF_DAYS: String(days) }),
    replace,
    stop: () => (stopped ??= stop()),
    [Symbol.asyncDispose]: () => stack.stop(),
  }
  try {
    await database.start()
    // Together: on an empty database too, they agree on one key.
    await Promise.all([...replicas, envoy].map((part) => part.start()))
    for (const replica of replicas) await seen(replica, 'up')
  } catch (error) {
    await stack.stop()
    throw error
  }
  return stack

  async function seen(
    replica: Replica,
    ...states: readonly ReplicaState[]
  ): Promise<ReplicaStatus> {
    return await until(`the edge sees ${replica.name} ${states.join(' or ')}`, async () => {
      const view = await readConsole(consoleUrl)
      return view?.replicas.find(
        ({ name, state }) => name === replica.name && states.includes(state),
      )
    })
  }

  async function replace(replica: Replica): Promise<void> {
    await replica.stop()
    if (stopped) throw new Error('the stack was stopped')
    await replica.start()
    await seen(replica, 'up')
  }

  /** The edge first, so that no request meets a replica that ends. */
  async function stop(): Promise<void> {
    await envoy.stop()
    // Nobody asks the replicas any more: a second signal, of another kind, cuts their draining short.
    const ending = replicas.map((replica) => replica.stop())
    for (const replica of replicas) replica.kill('SIGINT')
    await Promise.all(ending)
    await database.stop()
    if (!options.folder) rmSync(folder, { recursive: true, force: true })
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    return false
  }
}

/** Everything on disk, by path. */
interface Files extends SecretFiles {
  readonly folder: string
  readonly certificates: string
  readonly ca: string
  readonly sds: string
  readonly adminSocket: string
  readonly edgeConfig: string
  readonly database: string
}

async function prepare(folder: string, hosts: readonly string[]): Promise<Files> {
  const at = (...names: string[]) => join(folder, ...names)
  const files: Files = {
    folder,
    certificates: at('certificates'),
    ca: at('ca', 'ca.crt'),
    sds: at('sds', 'edge_cert.yaml'),
    adminSocket: at('admin.sock'),
    edgeConfig: at('envoy.json'),
    database: at('database'),
    ...(await makeSecrets(at('secrets'), systemRandom)).files,
  }
  mkdirSync(at('sds'), { recursive: true, mode: 0o700 })
  makeCertificate(files, hosts)
  const sds = readFileSync(join(ROOT, 'envoy', 'sds', 'edge_cert.yaml'), 'utf8')
  writeFileSync(files.sds, sds.replaceAll('/certs', files.certificates))
  return files
}

function makeCertificate(files: Files, hosts: readonly string[], more = {}): void {
  const { exitCode, stderr } = Bun.spawnSync(['sh', join(ROOT, 'envoy', 'certs.sh')], {
    env: {
      ...BASE_ENV,
      CERTS: files.certificates,
      CA: join(files.ca, '..'),
      EDGE_HOST: hosts.join(','),
      ...more,
    },
  })
  if (exitCode !== 0) throw new Error(`no certificate: ${stderr.toString()}`)
}

/** Nothing of the developer's own environment reaches a part. */
const BASE_ENV = { PATH: process.env['PATH'], HOME: process.env['HOME'] }

function replicaSettings(
  files: Files,
  at: { port: number; metricsPort: number; databasePort: number; ports: { https: number } },
) {
  return {
    MUNJIGI_PORT: String(at.port),
    MUNJIGI_METRICS_PORT: String(at.metricsPort),
    MUNJIGI_DATABASE_URL: `http://127.0.0.1:${at.databasePort}`,
    MUNJIGI_DATABASE_AUTH_TOKEN_FILE: files.databaseToken,
    MUNJIGI_SECRET_FILE: files.secret,
    MUNJIGI_ISSUER_URL: `https://localhost:${at.ports.https}`,
    MUNJIGI_TRUSTED_PEERS: '127.0.0.1',
    MUNJIGI_CLIENT_ADDRESS_HEADER: 'x-envoy-external-address',
  }
}

interface EdgePlan extends EdgeSettings {
  readonly ports: Readonly<Record<EdgeListener, number>>
  readonly replicas: readonly { name: string; port: number }[]
  readonly floodLimit: number | undefined
  readonly heapBytes: number | undefined
}

function edgeCommand(tools: Tools, files: Files, plan: EdgePlan): string[] {
  const { ports, replicas, floodLimit, heapBytes } = plan
  const config = render(readFileSync(EDGE_YAML, 'utf8'), plan, {
    addresses: LOOPBACK,
    ports,
    adminSocket: files.adminSocket,
    eventLog: join(files.folder, 'edge-events.log'),
    secrets: { file: files.sds, folder: join(files.sds, '..') },
    replicas,
    floodLimit,
    heapBytes,
  })
  writeFileSync(files.edgeConfig, JSON.stringify(config, null, 2))
  return [
    ...[tools.envoy, '--config-path', files.edgeConfig, '--concurrency', '2'],
    // Else a second Envoy on this machine could not start.
    '--use-dynamic-base-id',
    ...['--file-flush-interval-msec', '500', '--log-level', 'warning'],
    ...['--log-format', '{"time":"%Y-%m-%dT%T.%e%z","level":"%l","msg":"%j"}'],
  ]
}

interface Watch {
  readonly restart: boolean
  readonly keepLines: number
  readonly logFolder: string | undefined
  readonly onEvent: (event: StackEvent) => void
  readonly onLine: (line: StackEvent) => void
}

function watcher(options: StackOptions): Watch {
  const { restart = false, keepLines = 500, logFolder } = options
  const { onEvent = () => {}, onLine = () => {} } = options
  return { restart, keepLines, logFolder, onEvent, onLine }
}

interface PartPlan {
  readonly name: string
  readonly address: string
  readonly command: string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly ready: () => Promise<boolean>
}

/** How long a part may take to end after SIGTERM: a replica that drains needs the most. */
const GRACE_MS = 20_000

function createPart(watch: Watch, plan: PartPlan): Part {
  const file = watch.logFolder && join(watch.logFolder, `${plan.name}.log`)
  let child: Bun.Subprocess | undefined
  let state: Part['state'] = 'ended'
  let since = new Date()
  let deaths = 0
  const lines: string[] = []
  const part: Part = {
    name: plan.name,
    address: plan.address,
    get lines() {
      return file ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-watch.keepLines) : lines
    },
    get pid() {
      return state === 'ended' ? undefined : child?.pid
    },
    get state() {
      return state
    },
    get since() {
      return since
    },
    start,
    stop,
    kill: (signal) => child?.kill(signal),
  }
  return part

  function become(next: Part['state']): void {
    state = next
    since = new Date()
  }

  async function start(): Promise<void> {
    become('starting')
    const process = file ? withOutputTo(file, spawn) : spawn('pipe')
    child = process
    const heard = [process.stdout, process.stderr].map(
      (stream) => stream instanceof ReadableStream && readLines(stream, keep),
    )
    void process.exited.then(async () => {
      await Promise.all(heard)
      if (child === process) ended(process)
    })
    await until(`${plan.name} answers`, async () => {
      if (process.exitCode !== null || process.signalCode !== null) {
        await Promise.all(heard)
        throw new Error(
          `${plan.name} ended before it answered:\n${part.lines.slice(-20).join('\n')}`,
        )
      }
      return await plan.ready()
    })
    if (state === 'starting') become('running')
  }

  function spawn(output: number | 'pipe'): Bun.Subprocess {
    return Bun.spawn(plan.command, {
      cwd: ROOT,
      env: { ...BASE_ENV, ...plan.env },
      stdin: 'ignore',
      stdout: output,
      stderr: output,
      // A group of its own: Ctrl-C reaches us alone, and we end the parts in order.
      detached: true,
    })
  }

  function keep(line: string): void {
    lines.push(line)
    watch.onLine({ part: plan.name, text: line })
    if (lines.length > watch.keepLines) lines.splice(0, lines.length - watch.keepLines)
  }

  function ended({ exitCode, signalCode }: Bun.Subprocess): void {
    const expected = state === 'stopping'
    const brief = Date.now() - since.getTime() < 5_000
    become('ended')
    if (expected) return
    const how = signalCode ?? `exit code ${exitCode}`
    watch.onEvent({ part: plan.name, text: `ended by itself (${how})` })
    deaths = brief ? deaths + 1 : 0
    if (watch.restart) void restart()
  }

  /** Restarts at once, or after longer and longer pauses if the part does not live long. A failed start comes back through `ended`. */
  async function restart(): Promise<void> {
    if (deaths > 0) await Bun.sleep(Math.min(500 * 2 ** deaths, 15_000))
    if (state !== 'ended') return
    try {
      await start()
      watch.onEvent({ part: plan.name, text: `runs again (process ${child?.pid})` })
    } catch {
      if (child?.exitCode === null)
        watch.onEvent({ part: plan.name, text: 'was started, and does not answer' })
    }
  }

  async function stop(): Promise<number> {
    const ending = child
    if (!ending || state === 'ended') {
      // A restart that is waiting for its turn must not start it again.
      become('stopping')
      return 0
    }
    become('stopping')
    ending.kill('SIGTERM')
    // A process that was stopped by SIGSTOP hears nothing else.
    ending.kill('SIGCONT')
    const timer = setTimeout(() => ending.kill('SIGKILL'), GRACE_MS)
    const exitCode = await ending.exited
    clearTimeout(timer)
    return exitCode
  }
}
