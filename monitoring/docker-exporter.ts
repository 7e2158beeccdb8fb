// The figures of every container from Docker's own API, under cAdvisor's names: for Docker Desktop and WSL2, where cAdvisor
// finds no containers. One scrape asks for all containers that run, and keeps nothing. The Docker socket is all it needs, and
// the Docker socket is the machine: it answers to Prometheus only, and forwards nothing that it is asked.

const SOCKET = '/var/run/docker.sock'

interface Container {
  readonly Id: string
  readonly Names: readonly string[]
  readonly Image: string
  readonly Labels: Readonly<Record<string, string>>
}

/** As Docker gives it; a container that has just ended has next to nothing. */
interface Stats {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } }
  readonly memory_stats?: {
    readonly usage?: number
    readonly limit?: number
    readonly stats?: Readonly<Record<string, number>>
  }
  readonly networks?: Readonly<
    Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>
  >
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { op: string; value: number }[] | null
  }
}

/** As Docker describes one container. */
interface Described {
  readonly State: { readonly StartedAt: string }
}

/** A series' name, its further labels, its value. */
type Sample = readonly [name: string, labels: Readonly<Record<string, string>>, value: number]

Bun.serve({
  port: Number(process.argv[2] ?? 8080),
  routes: {
    '/healthz': new Response('ok'),
    '/metrics': async () =>
      new Response(await scrape(), { headers: { 'content-type': 'text/plain; version=0.0.4' } }),
  },
  error: () => new Response('Docker does not answer\n', { status: 503 }),
})

// The first process of a container does not end by a signal that nobody listens for: Docker would wait ten seconds.
process.on('SIGTERM', () => process.exit(0))

async function scrape(): Promise<string> {
  const containers = await ask<Container[]>('/containers/json')
  const lines = await Promise.all(containers.map(linesOf))
  return `${lines.flat().join('\n')}\n`
}

/** None of one that ends meanwhile: a zero would look like a counter that begins anew. */
async function linesOf({ Id, Names, Image, Labels }: Container): Promise<string[]> {
  const [stats, described] = await Promise.all([
    ask<Stats>(`/containers/${Id}/stats?stream=false&one-shot=true`),
    ask<Described>(`/containers/${Id}/json`),
  ]).catch(() => [])
  if (!described || !stats?.cpu_stats?.cpu_usage?.total_usage) return []
  const common = {
    id: `/docker/${Id}`,
    image: Image,
    name: (Names[0] ?? '').replace(/^\//, ''),
    container_label_com_docker_compose_project: Labels['com.docker.compose.project'] ?? '',
    container_label_com_docker_compose_service: Labels['com.docker.compose.service'] ?? '',
  }
  const started = Date.parse(described.State.StartedAt) / 1000
  const samples: Sample[] = [['container_start_time_seconds', {}, started], ...samplesOf(stats)]
  return samples.map(
    ([name, labels, value]) => `${name}{${labelText({ ...common, ...labels })}} ${value}`,
  )
}

function* samplesOf(stats: Stats): Generator<Sample> {
  const { cpu_stats: cpu, memory_stats: memory, networks = {}, blkio_stats: disk } = stats
  const nanoseconds = cpu?.cpu_usage?.total_usage ?? 0
  yield ['container_cpu_usage_seconds_total', { cpu: 'total' }, nanoseconds / 1e9]
  if (memory?.usage !== undefined) {
    // What can be given back at once does not count: cgroup v1 and v2 have two names for it.
    const { total_inactive_file: old, inactive_file: now } = memory.stats ?? {}
    yield ['container_memory_working_set_bytes', {}, memory.usage - (old ?? now ?? 0)]
    yield ['container_spec_memory_limit_bytes', {}, memory.limit ?? 0]
  }
  for (const [name, { rx_bytes, tx_bytes }] of Object.entries(networks)) {
    yield ['container_network_receive_bytes_total', { interface: name }, rx_bytes]
    yield ['container_network_transmit_bytes_total', { interface: name }, tx_bytes]
  }
  const all = disk?.io_service_bytes_recursive ?? []
  for (const [op, series] of [
    ['read', 'container_fs_reads_bytes_total'],
    ['write', 'container_fs_writes_bytes_total'],
  ] as const) {
    const some = all.filter((entry) => entry.op.toLowerCase() === op)
    yield [series, { device: 'all' }, some.reduce((sum, { value }) => sum + value, 0)]
  }
}

function labelText(labels: Readonly<Record<string, string>>): string {
  // JSON escapes what the text format wants escaped: backslash, quote, line break.
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')
}

async function ask<T>(path: string): Promise<T> {
  const signal = AbortSignal.timeout(4_000)
  const response = await fetch(`http://docker${path}`, { unix: SOCKET, signal })
  if (!response.ok) throw new Error(`Docker answers ${response.status}`)
  return (await response.json()) as T
}
