// Reads the edge's console: what Envoy knows of each replica, in our words. The console is read-only and needs no
// password, which is why it is published on 127.0.0.1 only.

/** One replica as the edge sees it. Counts are since the edge started. */
export interface ReplicaStatus {
  /** The name it was given, or else its address. */
  readonly name: string
  readonly address: string
  readonly state: ReplicaState
  readonly requests: number
  /** Answers with 5xx, and requests that got no answer. */
  readonly errors: number
  /** Requests that wait for their answer. */
  readonly active: number
}

/**
 * `up`: gets requests. `down`: fails its health check. `silent`: does not answer it. `left`: said that it was
 * going away, and has not come back. `ejected`: could not be reached several times in a row. `new`: not checked yet.
 */
export type ReplicaState = 'up' | 'down' | 'silent' | 'left' | 'ejected' | 'new'

/** What one look at the console shows. */
export interface ConsoleView {
  readonly replicas: readonly ReplicaStatus[]
  /** How long the edge has been counting, in seconds. */
  readonly edgeSeconds: number
}

/** Looks once. Null when no console answers within two seconds: on a busy machine it may be late for once. */
export async function readConsole(url: string): Promise<ConsoleView | null> {
  return await look(url).catch(() => null)
}

async function look(url: string): Promise<ConsoleView> {
  const ask = async (path: string): Promise<unknown> => {
    // On this machine: no proxy that the environment names leads there.
    const signal = AbortSignal.timeout(2_000)
    const response = await fetch(url + path, { signal, proxy: false })
    if (!response.ok) throw new Error(`the console answers ${response.status} to ${path}`)
    return await response.json()
  }
  const [clusters, server] = await Promise.all([ask('/clusters?format=json'), ask('/server_info')])
  // The shapes are Envoy's own (envoy.admin.v3.Clusters, ServerInfo); the tests meet the real ones.
  const { cluster_statuses } = clusters as { cluster_statuses: readonly ClusterStatus[] }
  const hosts = cluster_statuses.find(({ name }) => name === 'munjigi')?.host_statuses ?? []
  const seconds = Number.parseInt(
    (server as { uptime_current_epoch: string }).uptime_current_epoch,
    10,
  )
  return { replicas: hosts.map(toStatus).sort(byName), edgeSeconds: seconds }
}

interface ClusterStatus {
  readonly name: string
  readonly host_statuses?: readonly HostStatus[]
}

/** What is zero or false is left out. */
interface HostStatus {
  readonly hostname?: string
  readonly address: {
    readonly socket_address: { readonly address: string; readonly port_value: number }
  }
  readonly stats?: readonly { readonly name: string; readonly value?: string }[]
  readonly health_status: Readonly<Record<string, unknown>>
}

function toStatus(host: HostStatus): ReplicaStatus {
  const { address, port_value: port } = host.address.socket_address
  const count = (name: string) => Number(host.stats?.find((stat) => stat.name === name)?.value ?? 0)
  return {
    // In containers all replicas have the name of their service: only the address tells them apart.
    name: /-\d+$/.test(host.hostname ?? '') ? (host.hostname ?? '') : address,
    address: `${address}:${port}`,
    state: stateOf(host.health_status),
    requests: count('rq_total'),
    errors: count('rq_error'),
    active: count('rq_active'),
  }
}

function stateOf(health: HostStatus['health_status']): ReplicaState {
  if (health['pending_active_hc']) return 'new'
  if (health['excluded_via_immediate_hc_fail']) return 'left'
  if (health['active_hc_timeout']) return 'silent'
  if (health['failed_active_health_check']) return 'down'
  return health['failed_outlier_check'] ? 'ejected' : 'up'
}

function byName(one: ReplicaStatus, other: ReplicaStatus): number {
  return one.name.localeCompare(other.name, 'en', { numeric: true })
}
