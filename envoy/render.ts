// envoy.yaml for one place: host names, kind of health check and language by settings, and addresses when it does not run
// in a container. As a program it prints the result (JSON is YAML), or writes it into a folder with the edge's other files:
// `bun envoy/render.ts FOLDER`. What is not named here stays as the file has it.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Language } from '../src/errors.ts'
import { ERRORS } from '../src/errors.ts'

/** What an operator chooses. */
export interface EdgeSettings {
  /** One's own names beside localhost. */
  readonly hosts: readonly string[]
  readonly healthCheck: HealthCheck
  readonly language: Language
  /** The port that clients know, for the redirect. */
  readonly httpsPort: number
}

/** `http`: GET /readyz. `tcp`: a connect, and so many failures in a row until a replica is out. */
export type HealthCheck =
  | { readonly kind: 'http' }
  | { readonly kind: 'tcp'; readonly failures: number }

/** Where everything is when the edge runs beside the replicas on one machine. */
export interface Placement {
  /** Addresses to listen on, at least one. */
  readonly addresses: readonly string[]
  readonly ports: Readonly<Record<EdgeListener, number>>
  readonly adminSocket: string
  /** Where health checks and ejections are logged: /dev/stdout cannot be opened where it is a socket. */
  readonly eventLog: string
  /** The SDS file that says where the certificate is, and its folder. */
  readonly secrets: { readonly file: string; readonly folder: string }
  readonly replicas: readonly { readonly name: string; readonly port: number }[]
  /** Requests a second, in all and from one address, in place of what the file says: load for tests has one address. */
  readonly floodLimit?: number | undefined
  /** Bytes of the heap at which it is full, in place of what the file says: a small one can be filled by a test. */
  readonly heapBytes?: number | undefined
}

/** The listeners of envoy.yaml by name. */
export type EdgeListener = 'https' | 'http' | 'console' | 'metrics'

/** What an empty environment means. */
export const DEFAULTS: EdgeSettings = {
  hosts: [],
  healthCheck: { kind: 'http' },
  language: 'ko',
  httpsPort: 443,
}

/** The file, as it is. */
export const EDGE_YAML = join(import.meta.dir, 'envoy.yaml')

/** A setting that makes no sense; the message names it. */
export class EdgeSettingFault extends Error {
  override readonly name = 'EdgeSettingFault'
}

/**
 * Reads `EDGE_HOST` (names by commas), `EDGE_HEALTH_CHECK` (`http`, `tcp` or `tcp:5`), `EDGE_HTTPS_PORT` and
 * `MUNJIGI_MESSAGE_LANGUAGE`. Throws `EdgeSettingFault`.
 */
export function readEdgeSettings(environment: Readonly<Record<string, string | undefined>>) {
  const given = (environment['EDGE_HOST'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  // Twice the same one is no fault, but Envoy takes it for one.
  const hosts = [...new Set(given)]
  // In a certificate an address is another thing than a name, and clients reject it as a name.
  if (hosts.some((name) => isIP(name.replace(/^\[|\]$/g, '')) !== 0))
    throw new EdgeSettingFault('EDGE_HOST: must be host names, not IP addresses')
  const wrong = hosts.find(
    (name) => !/^(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/.test(name),
  )
  if (wrong)
    throw new EdgeSettingFault(
      'EDGE_HOST: must be host names, separated by commas, letters beyond ASCII as xn--…',
    )
  const language = environment['MUNJIGI_MESSAGE_LANGUAGE'] || DEFAULTS.language
  if (language !== 'ko' && language !== 'en')
    throw new EdgeSettingFault('MUNJIGI_MESSAGE_LANGUAGE: must be ko or en')
  const settings: EdgeSettings = {
    hosts,
    healthCheck: readHealthCheck(environment['EDGE_HEALTH_CHECK'] || 'http'),
    language,
    httpsPort: readPort('EDGE_HTTPS_PORT', environment) ?? DEFAULTS.httpsPort,
  }
  return settings
}

/** A port by its setting; undefined if it is not set. Throws `EdgeSettingFault`. */
export function readPort(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): number | undefined {
  const text = environment[name]
  if (!text) return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new EdgeSettingFault(`${name}: must be a port, 1 to 65535`)
  return port
}

function readHealthCheck(text: string): HealthCheck {
  if (text === 'http') return { kind: 'http' }
  const tcp = /^tcp(?::([1-9]\d?))?$/.exec(text)
  if (tcp) return { kind: 'tcp', failures: Number(tcp[1] ?? 3) }
  throw new EdgeSettingFault(
    'EDGE_HEALTH_CHECK: must be http, tcp, or tcp with the number of failures that take a replica out, as in tcp:5',
  )
}

/** The configuration as Envoy reads it, from the text of envoy.yaml. */
export function render(yaml: string, settings: EdgeSettings, placement?: Placement): EnvoyConfig {
  // Anchors of YAML make two places one object; here each place must be its own.
  const config = structuredCopy(Bun.YAML.parse(yaml))
  chooseHealthCheck(clusterOf(config, 'munjigi'), settings.healthCheck)
  chooseNames(config, settings)
  chooseLanguage(config, settings.language)
  if (placement) place(config, placement)
  return config
}

/** The parts of envoy.yaml that are touched here; whatever else it holds is carried along. */
export interface EnvoyConfig {
  admin: { address: { pipe: { path: string } } }
  cluster_manager: { outlier_detection: EventLog }
  overload_manager: { resource_monitors: { typed_config: { max_heap_size_bytes?: number } }[] }
  static_resources: { listeners: Listener[]; clusters: Cluster[] }
}

interface Listener {
  name: string
  address: SocketAddress
  additional_addresses?: { address: SocketAddress }[]
  filter_chains: {
    transport_socket?: { typed_config: { common_tls_context: TlsContext } }
    filters: { typed_config: ConnectionManager }[]
  }[]
}

interface EventLog {
  event_log_path: string
}

interface SocketAddress {
  socket_address: { address: string; port_value: number }
}

interface TlsContext {
  tls_certificate_sds_secret_configs: {
    sds_config: { path_config_source: { path: string; watched_directory: { path: string } } }
  }[]
}

interface ConnectionManager {
  route_config: { virtual_hosts: VirtualHost[] }
  http_filters: { name: string; typed_config: FloodLimits }[]
}

interface FloodLimits {
  token_bucket?: TokenBucket
  descriptors?: { token_bucket: TokenBucket }[]
}

interface VirtualHost {
  name: string
  domains: string[]
  response_headers_to_add?: unknown[]
  routes: { redirect?: { port_redirect?: number } }[]
}

interface TokenBucket {
  max_tokens: number
  tokens_per_fill: number
}

interface Cluster {
  name: string
  type?: 'STATIC'
  cluster_type?: unknown
  load_assignment: {
    endpoints: { lb_endpoints: { endpoint: { hostname?: string; address: unknown } }[] }[]
  }
  health_checks?: {
    unhealthy_threshold: number
    http_health_check?: unknown
    tcp_health_check?: Record<string, never>
    event_logger: { typed_config: EventLog }[]
  }[]
}

/** The border: from here on the file is taken to have the shape above. The tests read the same file. */
function structuredCopy(value: unknown): EnvoyConfig {
  return JSON.parse(JSON.stringify(value)) as EnvoyConfig
}

function chooseHealthCheck(cluster: Cluster, choice: HealthCheck): void {
  if (choice.kind === 'http') return
  for (const check of cluster.health_checks ?? []) {
    delete check.http_health_check
    // Without a payload it is the connect alone that counts.
    check.tcp_health_check = {}
    check.unhealthy_threshold = choice.failures
  }
}

const HSTS = {
  header: { key: 'strict-transport-security', value: 'max-age=31536000' },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
}

/** A browser that was once told HSTS for localhost would refuse every development server there for a year. */
function chooseNames(config: EnvoyConfig, { hosts, httpsPort }: EdgeSettings): void {
  const local = hosts.filter((name) => name.endsWith('.localhost'))
  const [service] = managerOf(config, 'https').route_config.virtual_hosts
  const [plain] = managerOf(config, 'http').route_config.virtual_hosts
  if (!service || !plain) throw new Error('envoy.yaml has no virtual host')
  const known = new Set([...service.domains, ...local])
  const own = hosts.filter((name) => !known.has(name))
  plain.domains.push(...local, ...own)
  service.domains.push(...local)
  if (own.length > 0)
    managerOf(config, 'https').route_config.virtual_hosts.push({
      ...service,
      name: 'own',
      domains: own,
      response_headers_to_add: [HSTS],
    })
  if (httpsPort === 443) return
  for (const { redirect } of plain.routes) if (redirect) redirect.port_redirect = httpsPort
}

/** What the edge alone says; all other sentences are those of the service. */
const EDGE_SENTENCES = {
  EDGE_403: { ko: 'HTTPS로 보내 주십시오.', en: 'Use HTTPS.' },
  other: { ko: '처리할 수 없는 요청입니다.', en: 'The request cannot be accepted.' },
} as const

function chooseLanguage(node: unknown, language: Language): void {
  if (typeof node !== 'object' || node === null) return
  if (isReply(node)) node.message = sentence(node.extensions.code, language)
  for (const child of Object.values(node)) chooseLanguage(child, language)
}

function isReply(node: object): node is { message: string; extensions: { code: string } } {
  return 'message' in node && 'extensions' in node
}

function sentence(code: string, language: Language): string {
  const [, row = EDGE_SENTENCES.other] =
    [...Object.entries(ERRORS), ...Object.entries(EDGE_SENTENCES)].find(
      ([name]) => name === code,
    ) ?? []
  return row[language]
}

function place(config: EnvoyConfig, placement: Placement): void {
  config.admin.address.pipe.path = placement.adminSocket
  if (placement.heapBytes)
    for (const { typed_config: monitor } of config.overload_manager.resource_monitors)
      if (monitor.max_heap_size_bytes) monitor.max_heap_size_bytes = placement.heapBytes
  for (const listener of config.static_resources.listeners) placeListener(listener, placement)
  const munjigi = clusterOf(config, 'munjigi')
  const checks = (munjigi.health_checks ?? []).flatMap(({ event_logger }) => event_logger)
  const logs = [config.cluster_manager.outlier_detection, ...checks.map((log) => log.typed_config)]
  for (const log of logs) log.event_log_path = placement.eventLog
  delete munjigi.cluster_type
  munjigi.type = 'STATIC'
  munjigi.load_assignment.endpoints = endpoints(
    placement.replicas.map(({ name, port }) => ({
      hostname: name,
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
    })),
  )
  clusterOf(config, 'admin').load_assignment.endpoints = endpoints([
    { address: { pipe: { path: placement.adminSocket } } },
  ])
}

function endpoints(all: { hostname?: string; address: unknown }[]) {
  return [{ lb_endpoints: all.map((endpoint) => ({ endpoint })) }]
}

function placeListener(listener: Listener, placement: Placement): void {
  const { addresses, ports, secrets, floodLimit } = placement
  const port_value = portOf(listener.name, ports)
  const [first, ...more] = addresses.map((address) => ({ socket_address: { address, port_value } }))
  if (!first) throw new Error('the edge needs an address to listen on')
  listener.address = first
  if (more.length > 0) listener.additional_addresses = more.map((address) => ({ address }))
  for (const { transport_socket: tls, filters } of listener.filter_chains) {
    for (const secret of tls?.typed_config.common_tls_context.tls_certificate_sds_secret_configs ??
      [])
      secret.sds_config.path_config_source = {
        path: secrets.file,
        watched_directory: { path: secrets.folder },
      }
    for (const { typed_config: manager } of filters)
      if (floodLimit) for (const bucket of bucketsOf(manager)) limitFlood(bucket, floodLimit)
  }
}

/** A bucket of bytes, which is larger than any of requests, keeps as many for each request of one address as are shipped. */
function limitFlood(bucket: TokenBucket, requests: number): void {
  const { max_tokens: most, tokens_per_fill: refill } = bucket
  const limit = (shipped: number) =>
    most > SHIPPED.all ? Math.min((shipped / SHIPPED.each) * requests, UINT32) : requests
  bucket.max_tokens = Math.ceil(limit(most))
  bucket.tokens_per_fill = Math.ceil(limit(refill))
}

/** Requests a second in envoy.yaml. */
const SHIPPED = { all: 2_000, each: 200 } as const
/** As many tokens as a bucket of Envoy can have. */
const UINT32 = 4_294_967_295

function bucketsOf({ http_filters: filters }: ConnectionManager): TokenBucket[] {
  return filters.flatMap(({ typed_config: { token_bucket: all, descriptors = [] } }) => [
    ...(all ? [all] : []),
    ...descriptors.map(({ token_bucket: one }) => one),
  ])
}

function portOf(name: string, ports: Placement['ports']): number {
  const port = Object.entries(ports).find(([listener]) => listener === name)?.[1]
  if (port === undefined) throw new Error(`no port for the listener ${name}`)
  return port
}

function clusterOf(config: EnvoyConfig, name: string): Cluster {
  const cluster = config.static_resources.clusters.find((candidate) => candidate.name === name)
  if (!cluster) throw new Error(`envoy.yaml has no cluster ${name}`)
  return cluster
}

function managerOf(config: EnvoyConfig, name: EdgeListener): ConnectionManager {
  const listener = config.static_resources.listeners.find((candidate) => candidate.name === name)
  const manager = listener?.filter_chains[0]?.filters[0]?.typed_config
  if (!manager) throw new Error(`envoy.yaml has no listener ${name}`)
  return manager
}

if (import.meta.main) {
  try {
    const settings = readEdgeSettings(process.env)
    const config = render(readFileSync(EDGE_YAML, 'utf8'), settings)
    write(`${JSON.stringify(config, null, 2)}\n`, process.argv[2])
  } catch (error) {
    if (!(error instanceof EdgeSettingFault)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 78
  }
}

/** The edge's files as its containers read them; without a folder, the configuration alone is printed. */
function write(config: string, folder: string | undefined): void {
  if (folder === undefined) return void process.stdout.write(config)
  mkdirSync(join(folder, 'sds'), { recursive: true })
  put(join(folder, 'envoy.json'), config)
  for (const name of [join('sds', 'edge_cert.yaml'), 'certs.sh'])
    put(join(folder, name), readFileSync(join(import.meta.dir, name), 'utf8'))
}

/** Who reads the file meanwhile finds the old one or the new one. */
function put(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text)
  renameSync(`${path}.tmp`, path)
}
