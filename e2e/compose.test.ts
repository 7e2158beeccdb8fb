// docker-compose.yml as it is shipped, run for real: everything comes up from nothing, only the edge can be reached, and
// clients notice as little as can be when a replica dies, hangs, is stopped or replaced. Ports and a name of its own are
// the only settings that a test adds.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReplicaState, ReplicaStatus } from '../envoy/console.ts'
import { readConsole } from '../envoy/console.ts'
import { CONTAINERS } from '../monitoring/grafana/boards/containers.ts'
import { LOGS } from '../monitoring/grafana/boards/logs.ts'
import { settingsTable } from '../src/config/table.ts'
import type { Compose, Container } from './compose.ts'
import {
  createCompose,
  docker,
  findCompose,
  hasDocker,
  imagesOfProject,
  rollOut,
} from './compose.ts'
import type { Answer, Load, Target } from './http-client.ts'
import { connect, graphqlRequest, holding, request, sendOnce, startLoad } from './http-client.ts'
import { seen as printed } from './output.ts'
import { freePorts } from './ports.ts'
import { requires } from './requirement.ts'
import { until } from './until.ts'

const ROOT = join(import.meta.dir, '..')
const PROJECT = `munjigi-test-${process.pid}`
/** Below what the edge takes for a flood from one address. */
const RATE = 100
/** Between a signal and the moment when the edge has heard of it, some more are on their way to the dead. */
const SLACK = 10
const EMAIL = 'kim@example.com'
/** Of somebody who comes after a backup. */
const LATE = 'late@example.com'
const PASSWORD = 'correct horse battery staple'

/**
 * Grafana's image cannot be assembled from packages: everything else runs. And where no name server can be reached, it is
 * long until somebody is known to be away.
 */
const OVERRIDE =
  'services: { grafana: { profiles: [no-image] }, otel-collector: { dns_opt: ["timeout:1", "attempts:1"] } }'

const isReady = requires('a Docker engine with Compose', hasDocker())
const describeCompose = describe.skipIf(!isReady)
setDefaultTimeout(120_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-compose-'))
const [https = 0, http = 0, console_ = 0, prometheus = 0, containers = 0, logs = 0] =
  await freePorts(6)
const consoleUrl = `http://127.0.0.1:${console_}`
const override = join(folder, 'override.yml')
const environment = {
  PATH: process.env['PATH'],
  HOME: process.env['HOME'],
  COMPOSE_PROJECT_NAME: PROJECT,
  EDGE_HTTPS_PORT: String(https),
  EDGE_HTTP_PORT: String(http),
  EDGE_CONSOLE_PORT: String(console_),
  PROMETHEUS_PORT: String(prometheus),
  CONTAINERS_PORT: String(containers),
  LOGS_PORT: String(logs),
  DOCKER_ROOT: isReady ? (await docker('info', '--format', '{{.DockerRootDir}}')).trim() : '',
  COMPOSE_FILE: `docker-compose.yml:${override}`,
}
const compose = createCompose(environment)
let target: Target
let token: string

beforeAll(async () => {
  if (!isReady) return
  writeFileSync(override, OVERRIDE)
  takeDownBehindUs()
  await compose.run('up', '-d', '--build')
  target = { port: https, ca: await copyCertificate(compose) }
  const { tokens } = dataOf(await send(mutation('signup', '{ tokens { accessToken } }'))).signup
  token = tokens.accessToken
}, 300_000)

afterAll(async () => {
  if (isReady) await takeDown()
  if (isReady) await docker('image', 'rm', '--force', PROJECT)
  rmSync(folder, { recursive: true })
}, 120_000)

/** Compose v2 leaves alone what a profile has that is not named, its volumes too; 1.29 does not, and takes the option. */
const DOWN = ['--profile', '*', 'down', '-v', '--remove-orphans']

/** An engine under load may hold on to a network for a moment after its last container. */
async function takeDown(): Promise<void> {
  const down = () => compose.run(...DOWN).then(() => true)
  await until('all is gone', () => down().catch(() => false), 60_000)
}

/** However we end, Ctrl-C too: containers would run on, and come back with the machine. By then the override may be gone. */
function takeDownBehindUs(): void {
  const down = [...(findCompose() ?? []), ...DOWN]
  // It reads to the end of what we write, which is nothing.
  Bun.spawn(['sh', '-c', 'cat; exec "$@"', 'behind-us', ...down], {
    cwd: ROOT,
    env: { ...environment, COMPOSE_FILE: 'docker-compose.yml' },
    stdio: ['pipe', 'ignore', 'ignore'],
    // Of another group than the part, whose group is killed.
    detached: true,
  }).unref()
}

const COPY = 'docker compose exec -T envoy cat /certs/live/ca.crt > ca.crt'

/** As the documents say: the words behind `docker compose`, whose output is the file. */
async function copyCertificate(project: Compose): Promise<string> {
  return await project.run(...COPY.split(' ').slice(2, -2))
}

function mutation(field: string, selection: string): { query: string } {
  return { query: `mutation { ${field}(email: "${EMAIL}", password: "${PASSWORD}") ${selection} }` }
}

async function send(body: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return await sendOnce(target, graphqlRequest(body, headers))
}

function dataOf({ status, body }: Answer) {
  expect(status).toBe(200)
  return JSON.parse(body).data
}

function me(): string {
  return graphqlRequest({ query: '{ me { email } }' }, { authorization: `Bearer ${token}` })
}

/** So many at once at most: what is lost for want of time on a busy machine would count as lost by a fault. */
function loadOfMe(atOnce = 30): Load {
  return startLoad({ target, rate: RATE, atOnce, next: me, judge: holding(EMAIL) })
}

/** What failed, each with what the edge wrote of it: a test that finds one must be understood without being repeated. */
async function failuresOf(load: Load): Promise<string[]> {
  const { failures } = await load.stop()
  if (failures.length === 0) return []
  const lines = (await compose.run('logs', '--no-color', 'envoy')).split('\n')
  return failures.map(({ why }) => {
    const id = /"requestId":"([^"]+)"/.exec(why)?.[1]
    return `${why}\n${lines.find((line) => id !== undefined && line.includes(id))}`
  })
}

async function replicas(): Promise<Container[]> {
  return (await compose.containers('munjigi')).filter(({ running }) => running)
}

async function oneReplica(): Promise<Container> {
  const [one] = await replicas()
  if (!one) throw new Error('no replica runs')
  return one
}

/** Resolves when the edge sees exactly so many replicas, all up. */
async function allUp(count: number): Promise<readonly ReplicaStatus[]> {
  return await until(
    `the edge sees ${count} replicas up`,
    async () => {
      const view = await readConsole(consoleUrl)
      const up = view?.replicas.filter(({ state }) => state === 'up') ?? []
      return up.length === count && view?.replicas.length === count && up
    },
    60_000,
  )
}

/** Resolves when the edge has a replica in one of these states, or does not know it any more. */
async function seen({ addresses }: Container, ...states: ReplicaState[]): Promise<void> {
  await until(`the edge sees a replica ${states.join(' or ')}`, async () => {
    const view = await readConsole(consoleUrl)
    if (!view) return false
    const found = view.replicas.find(({ name }) => addresses.includes(name))
    return found ? states.includes(found.state) : !states.includes('up')
  })
}

describeCompose('docker compose up', () => {
  test('gives a service that is whole: every part healthy, every one-shot ended with 0', async () => {
    const states = await until('all are healthy', async () => {
      const all = await containersOfProject()
      return all.every(({ State }) => State.Health?.Status !== 'starting') && all
    })
    const told = states.map(({ service, State }) => [
      service,
      State.Health?.Status ?? (State.Running ? 'runs' : `exited ${State.ExitCode}`),
    ])
    expect(told.sort()).toEqual([
      ['alertmanager', 'healthy'],
      ['blackbox', 'runs'],
      ['cadvisor', 'healthy'],
      ['certificates', 'exited 0'],
      ['edge-config', 'exited 0'],
      ['envoy', 'healthy'],
      ['munjigi', 'healthy'],
      ['munjigi', 'healthy'],
      ['munjigi', 'healthy'],
      ['node-exporter', 'runs'],
      ['prometheus', 'healthy'],
      ['secrets', 'exited 0'],
      ['sqld', 'healthy'],
    ])
  })

  test('answers over HTTPS with the certificate that the documented line copies', async () => {
    const login = mutation('login', '{ __typename ... on AlreadyLoggedIn { message } }')
    expect(dataOf(await send(login))).toEqual({ login: { __typename: 'LoggedIn' } })
    expect(dataOf(await send(login, { authorization: `Bearer ${token}` }))).toEqual({
      login: { __typename: 'AlreadyLoggedIn', message: `이미 ${EMAIL}로 로그인 하였습니다.` },
    })
  })

  test('sends browsers that come by HTTP to the port that is published', async () => {
    const answer = await sendOnce({ port: http }, request('GET', '/graphql'))
    expect(answer.status).toBe(301)
    expect(answer.headers['location']).toBe(`https://localhost:${https}/graphql`)
  })

  test('shares the requests evenly, as the console tells', async () => {
    const before = new Map((await allUp(3)).map(({ name, requests }) => [name, requests]))
    // Each thread of the edge has a circle of its own, and a connection stays with one.
    const connection = await connect(target)
    for (let sent = 0; sent < 30; sent += 1) dataOf(await connection.send(me()))
    connection.close()
    const after = await allUp(3)
    const taken = after.map(({ name, requests }) => requests - (before.get(name) ?? 0))
    expect(taken).toEqual([10, 10, 10])
  })

  test('tells the replicas who the client is, whatever it claims', async () => {
    const marker = `probe-${crypto.randomUUID()}`
    await send({ query: '{ __typename }' }, { 'user-agent': marker, 'x-forwarded-for': '8.8.8.8' })
    const line = await until('the request is logged', async () => {
      const lines = (await compose.run('logs', '--no-color', 'munjigi')).split('\n')
      return lines.find((one) => one.includes(marker))
    })
    expect(line).toContain('"clientAddress":"')
    expect(line).not.toContain('8.8.8.8')
  })
})

describeCompose('the way out that docs/passwords.md gives', () => {
  test('is open to those that ask about breaches, beside their own networks, and to nobody else', async () => {
    const page = readFileSync(join(ROOT, 'docs/passwords.md'), 'utf8')
    const [, told = ''] = /```yaml\n([^`]*)```/.exec(page) ?? []
    const path = join(folder, 'outside.yml')
    writeFileSync(path, told)
    const files = `${environment.COMPOSE_FILE}:${path}`
    const project = createCompose({
      ...environment,
      COMPOSE_FILE: files,
      COMPOSE_PROFILES: 'operator',
    })
    const { services, networks } = Bun.YAML.parse(await project.run('config')) as {
      services: Record<string, { networks?: Record<string, unknown> }>
      networks: Record<string, { internal?: boolean } | null>
    }
    expect(networks['outside']?.internal ?? false).toBe(false)
    const on = (name: string) => Object.keys(services[name]?.networks ?? {}).sort()
    expect(on('munjigi')).toEqual(['database', 'outside', 'service'])
    expect(on('operator')).toEqual(['database', 'outside'])
    expect(
      Object.keys(services)
        .filter((name) => on(name).includes('outside'))
        .sort(),
    ).toEqual(['munjigi', 'operator'])
  })
})

describeCompose('from outside', () => {
  test('nothing but the edge can be reached, and from this machine what looks on', async () => {
    const published = (await containersOfProject()).flatMap(({ service, NetworkSettings }) =>
      Object.values(NetworkSettings.Ports ?? {})
        .flatMap((bindings) => bindings ?? [])
        .map(({ HostPort, HostIp }) => `${service} ${HostPort} ${HostIp === '127.0.0.1'}`),
    )
    expect([...new Set(published)].sort()).toEqual(
      [
        ...[`envoy ${https} false`, `envoy ${http} false`, `envoy ${console_} true`],
        ...[`prometheus ${prometheus} true`, `cadvisor ${containers} true`],
      ].sort(),
    )
  })

  test('the database is unknown to the edge, and refuses a replica without the token', async () => {
    const reach = 'exec 3<>/dev/tcp/sqld/8080'
    await expect(compose.run('exec', '-T', 'envoy', 'bash', '-c', reach)).rejects.toThrow('sqld')
    const ask =
      "console.log((await fetch('http://sqld:8080/v2/pipeline', {method:'POST', body:'{}'})).status)"
    expect(await compose.run('exec', '-T', 'munjigi', 'bun', '-e', ask)).toBe('401\n')
  })

  test('the database syncs a write before it answers', async () => {
    const ask =
      "console.log((await (await fetch('http://sqld:9090/v1/namespaces/default/config')).json()).durability_mode)"
    expect(await compose.run('exec', '-T', 'munjigi', 'bun', '-e', ask)).toBe('strong\n')
  })

  test('every container is shut: read-only, no capability, not root, bounded', async () => {
    expectShut(await containersOfProject())
  })

  test('no secret is in an environment, and nobody but its owner can read one', async () => {
    for (const { Config } of await containersOfProject())
      expect((Config.Env ?? []).filter((line) => /(SECRET|TOKEN)=./.test(line))).toEqual([])
    const list = ['sh', '-c', 'cd /run/secrets && stat -c "%a %u %n" *']
    const files = await compose.run('exec', '-T', 'munjigi', ...list)
    expect(files.trim().split('\n').sort()).toEqual(
      ['database-token', 'secret'].map((name) => `600 1000 ${name}`),
    )
  })
})

/** What the dashboard asks for. */
const CONTAINER_SERIES = [
  ...new Set(
    CONTAINERS.panels
      .flatMap(({ queries }) => queries)
      .flatMap(({ expr }) => expr.match(/\bcontainer_\w+/g) ?? []),
  ),
]
/** Some engines do not count the disk of a container. */
const COUNTED = CONTAINER_SERIES.filter((series) => !series.startsWith('container_fs_'))

describeCompose('Prometheus', () => {
  test('gets figures of every part', async () => {
    const jobs = await until('every target answers', async () => {
      const { activeTargets } = (await ask('targets')).data
      const all = activeTargets.map(({ labels, health }) => `${labels.job} ${health}`)
      const three = all.filter((line) => line === 'munjigi up').length === 3
      // One that was asked before it had started is asked again ten seconds later; cAdvisor is looked for every five.
      const found = three && all.includes('containers up')
      return found && all.every((line) => line.endsWith(' up')) && all
    })
    expect([...new Set(jobs)].sort()).toEqual(
      ['alertmanager', 'containers', 'envoy', 'munjigi', 'node', 'prometheus', 'sqld', 'tls'].map(
        (job) => `${job} up`,
      ),
    )
  })

  test.each(COUNTED)('knows %s of every container that runs', async (series) => {
    const by = 'container_label_com_docker_compose_service'
    const mine = `container_label_com_docker_compose_project="${PROJECT}"`
    const running = (await containersOfProject()).filter(({ State }) => State.Running)
    const known = await until(`${series} of all`, async () => {
      const services = await values(by, `sum by (${by}) (${series}{${mine}}) > 0`)
      return services.length === new Set(running.map(({ service }) => service)).size && services
    })
    expect(known.sort()).toEqual([...new Set(running.map(({ service }) => service))].sort())
  })

  test('would get the same from the exporter for Docker Desktop', async () => {
    const [port = 0] = await freePorts(1)
    const exporter = Bun.spawn(
      [process.execPath, '--no-env-file', join(ROOT, 'monitoring/docker-exporter.ts'), `${port}`],
      { stdout: 'ignore', stderr: 'inherit' },
    )
    try {
      const url = `http://127.0.0.1:${port}/metrics`
      const text = await until('it answers', () =>
        fetch(url)
          .then((response) => response.text())
          .catch(() => undefined),
      )
      const running = (await containersOfProject()).filter(({ State }) => State.Running)
      const lines = text.split('\n')
      const lacking = CONTAINER_SERIES.flatMap((series) =>
        running
          .filter(({ service }) => !lines.some(isOf(series, service)))
          .map(({ service }) => `${series} of ${service}`),
      )
      expect(CONTAINER_SERIES.length).toBeGreaterThan(7)
      expect(lacking).toEqual([])
    } finally {
      exporter.kill()
      await exporter.exited
    }
  })

  test("knows the host's own network, and not that of a container", async () => {
    const devices = await until('the host is known', async () => {
      const all = await values('device', 'node_network_receive_bytes_total')
      return all.length > 0 && all
    })
    const host = readFileSync('/proc/1/net/dev', 'utf8')
    expect(devices.filter((device) => !host.includes(`${device}:`))).toEqual([])
    const size = await values('mountpoint', 'node_filesystem_size_bytes{mountpoint="/"}')
    expect(size).toEqual(['/'])
    // Where the kernel has it.
    const pressed = await values('job', 'node_pressure_io_waiting_seconds_total')
    expect(pressed).toEqual(existsSync('/proc/pressure') ? ['node'] : [])
  })

  test('is not for pages of other origins', async () => {
    expect(await originsOf(`http://127.0.0.1:${prometheus}/api/v1/query?query=up`)).toBeNull()
  })

  test('finds the certificate good, as a client sees it', async () => {
    const served = 'probe_success == 1 and probe_ssl_earliest_cert_expiry - time() > 80 * 86400'
    await until('the edge is probed', async () => (await values('job', served)).includes('tls'))
  })
})

describeCompose('the profile logs', () => {
  const parts = ['victorialogs', 'otel-collector']
  const printed: string[] = []
  const profile = (...args: string[]) => compose.run('--profile', 'logs', ...args, ...parts)

  beforeAll(async () => void (await profile('up', '-d')))
  afterAll(async () => {
    // Only whoever asks for the profile can take it down.
    await profile('rm', '--stop', '--force')
    await docker('rm', ...printed)
  })

  const request = async () => {
    const { headers } = await send({ query: '{ __typename }' })
    return headers['x-request-id'] ?? ''
  }
  const found = (what: string, query: string, count: number) =>
    until(what, async () => {
      const lines = await linesOf(query)
      return lines.length >= count && lines
    })

  test('finds a request by its id, in the line of the edge and in that of the replica', async () => {
    const id = await request()
    const lines = await found('both lines', `request_id:=${id}`, 2)
    expect(lines.map(({ service, event, level }) => [service, event, level]).sort()).toEqual([
      ['envoy', 'access', 'info'],
      ['munjigi', 'http.request', 'info'],
    ])
    for (const { _msg = '' } of lines) expect(JSON.parse(_msg)).toHaveProperty('time')
  })

  test('has what was written before it was there, and of all containers', async () => {
    expect(await found('all starts', 'event:=server.started', 3)).toHaveLength(3)
    for (const service of ['certificates', 'prometheus', 'sqld', 'victorialogs'])
      await found(`lines of ${service}`, `service:=${service} | limit 1`, 1)
  })

  test('is counted by Prometheus, line by line: the alert LogsNotArriving goes by that', async () => {
    const query = 'sum by (job) (vl_rows_ingested_total) > 0'
    await until('lines are counted', async () => (await values('job', query)).length > 0)
  })

  test('takes no line of anybody else', async () => {
    await print('other', 'theirs')
    await print(PROJECT, 'ours')
    await found('our line', '_msg:ours', 1)
    expect(await linesOf('_msg:theirs')).toEqual([])
  })

  test('names a stream by service and container alone, and a line by little more', async () => {
    const names = async (path: string) => {
      const { values: all } = await askLogs(path, { query: '*' }).then((text) => JSON.parse(text))
      return all.map(({ value }: { value: string }) => value).sort()
    }
    expect(await names('stream_field_names')).toEqual(['container', 'service'])
    expect(await names('field_names')).toEqual(
      ['_msg', '_stream', '_stream_id', '_time'].concat(
        ...['container', 'event', 'level', 'request_id', 'service'],
      ),
    )
  })

  test('is not waited for by any replica, and has everything once it is back', async () => {
    await compose.run('stop', 'victorialogs')
    const ids = await Promise.all(Array.from({ length: 30 }, request))
    const said = () => profile('logs', '--no-color')
    // What it failed with first may have been other lines.
    const failed = async () => (await said()).split('Exporting failed').length > 3
    await until('the collector has tried in vain', failed)
    await compose.run('start', 'victorialogs')
    const inAll = `request_id:in(${ids.join()}) service:=munjigi`
    expect(await found('all lines', inAll, ids.length)).toHaveLength(ids.length)
  })

  test('has data for every query of the dashboard', async () => {
    await print(PROJECT, JSON.stringify({ type: 'access', status: 503 }))
    const range = { start: '15m', end: 'now', step: '1m' }
    for (const { kind, title, queries } of LOGS.panels)
      for (const { expr } of queries)
        await until(title, async () => {
          const query = expr.replaceAll(/\(\$\w+\)/g, '(*)').replaceAll(/\$\w+/g, '')
          if (kind === 'lines') return (await linesOf(`${query} | limit 1`)).length > 0
          const { data } = JSON.parse(await askLogs('stats_query_range', { query, ...range }))
          return data.result.length > 0
        })
  })

  test('is not for pages of other origins', async () => {
    expect(await originsOf(`http://127.0.0.1:${logs}/select/logsql/query?query=*`)).toBeNull()
  })

  test('is managed by nobody: a page in a browser could take a whole day away with one picture', async () => {
    const { status } = await fetch(`http://127.0.0.1:${logs}/internal/partition/list`)
    expect(status).toBe(401)
  })

  test('is shut as well, and its collector reaches nothing but the store', async () => {
    const two = (await containersOfProject()).filter(({ service }) => parts.includes(service))
    expect(two).toHaveLength(2)
    expectShut(two)
    const collector = two.find(({ service }) => service === 'otel-collector')
    expect(Object.keys(collector?.NetworkSettings.Networks ?? {})).toEqual([`${PROJECT}_logs`])
    expect(collector?.Mounts.filter(({ RW }) => RW).map(({ Destination }) => Destination)).toEqual([
      '/offsets',
    ])
  })

  /** A container that is not the project's says one line, as one of the edge of `project` would. */
  async function print(project: string, line: string): Promise<void> {
    const [name, service] = [`${PROJECT}-says-${printed.length}`, 'com.docker.compose.service']
    printed.push(name)
    await docker(
      ...['run', '--name', name, '--network', 'none', '--entrypoint', 'echo'],
      ...['--label', `${service}=envoy`, '--log-opt', `labels=${service}`],
      ...['--log-opt', `tag=${project}/extra`, PROJECT, line],
    )
  }
})

describeCompose('under load', () => {
  test('from three replicas to four and down to two: nothing fails', async () => {
    const load = loadOfMe()
    for (const count of [4, 2]) {
      const scale = ['--no-recreate', '--scale', `munjigi=${count}`]
      await compose.run('up', '-d', '--no-deps', ...scale, 'munjigi')
      await allUp(count)
      await load.more(RATE)
    }
    await compose.run('up', '-d', '--no-deps', '--no-recreate', 'munjigi')
    await allUp(3)
    expect(await failuresOf(load)).toEqual([])
  })

  test('a replica that is killed takes along what it was answering, and comes back when started', async () => {
    const [one, load] = [await oneReplica(), loadOfMe()]
    await load.more(RATE)
    const lost = load.open + SLACK
    await docker('kill', one.id)
    await seen(one, 'down', 'ejected', 'silent')
    const failed = load.failed
    await load.more(RATE)
    expect(load.failed).toBe(failed)
    await docker('start', one.id)
    await allUp(3)
    const { failures } = await load.stop()
    expect(failures.length).toBeLessThanOrEqual(lost)
  })

  test('a replica whose process dies is started again by the engine, and docs/runbooks.md says how it ended', async () => {
    const [one, load] = [await oneReplica(), loadOfMe()]
    const page = readFileSync(join(ROOT, 'docs/runbooks.md'), 'utf8')
    const [watch = ''] = /docker events [^`]+/.exec(page) ?? []
    // It may hear nothing for a moment yet, and it hears of all containers of this machine.
    const since = `docker events --since ${Math.floor(Date.now() / 1_000)}`
    await using watching = Bun.spawn(
      ['timeout', '60', 'bash', '-c', watch.replace('docker events', since)],
      { stdout: 'pipe' },
    )
    await load.more(RATE)
    const lost = load.open + SLACK
    process.kill(one.pid, 'SIGKILL')
    await printed(watching.stdout, `${one.name} 137\n`)
    await until('it runs again', async () =>
      (await replicas()).some(({ id, pid }) => id === one.id && pid !== one.pid),
    )
    await allUp(3)
    const { failures } = await load.stop()
    expect(failures.length).toBeLessThanOrEqual(lost)
  })

  test('a replica that hangs is out as soon as it misses its checks', async () => {
    // What it is sent waits for ten seconds, and the others go on meanwhile.
    const [one, load] = [await oneReplica(), loadOfMe(1_000)]
    await load.more(RATE)
    await docker('pause', one.id)
    await seen(one, 'silent', 'down', 'ejected')
    await load.more(5)
    // Those sent to it before wait until the edge gives them up; none comes after them.
    const waiting = load.open + load.failed
    await load.more(RATE)
    await docker('unpause', one.id)
    await allUp(3)
    const { failures } = await load.stop()
    expect(failures.length).toBeLessThanOrEqual(waiting)
    // Whoever waited in vain is told in the shape of GraphQL.
    expect(failures.filter(({ why }) => !/^50[34] {"errors":/.test(why))).toEqual([])
  })

  test('a replica that is stopped finishes first: nothing fails', async () => {
    const [one, load] = [await oneReplica(), loadOfMe()]
    await load.more(RATE)
    await docker('stop', '--time', '20', one.id)
    await load.more(RATE)
    await docker('start', one.id)
    await allUp(3)
    expect(await failuresOf(load)).toEqual([])
  })

  test('all replicas are replaced without one failure, one that was stopped as well', async () => {
    const before = (await replicas()).map(({ id }) => id)
    const load = loadOfMe()
    await docker('stop', '--time', '20', before[1] ?? '')
    const steps: string[] = []
    await rollOut(compose, consoleUrl, (line) => steps.push(line))
    await allUp(3)
    expect(await failuresOf(load)).toEqual([])
    // Two for each that ran.
    expect(steps).toHaveLength(5)
    const after = (await replicas()).map(({ id }) => id)
    expect(after).toHaveLength(3)
    expect(after.filter((id) => before.includes(id))).toEqual([])
  })
})

/** A command of the command line, as docs/operations.md has it called. */
async function operate(...args: string[]): Promise<string> {
  return await compose.run('run', '--rm', '-T', 'operator', ...args)
}

describeCompose('a new secret', () => {
  test('comes in the three steps of docs/operations.md, and nothing fails', async () => {
    const show = '--rm -T --no-deps --entrypoint cat secrets /secrets/munjigi/secret'.split(' ')
    const secret = async () => (await compose.run('run', ...show)).trim()
    const old = await secret()
    const login = mutation('login', '{ ... on LoggedIn { tokens { refreshToken } } }')
    let { refreshToken } = dataOf(await send(login)).login.tokens
    // Nine replicas drain one after the other; as shipped they have done so above.
    const quick = createCompose({ ...environment, MUNJIGI_DRAIN_SECONDS: '2' })
    const load = loadOfMe()
    for (const option of [[], ['--use-next'], ['--drop-previous']]) {
      await operate('secrets', 'rotate', ...option)
      await rollOut(quick, consoleUrl, () => {})
      const query = `mutation { refresh(refreshToken: "${refreshToken}") { refreshToken } }`
      refreshToken = dataOf(await send({ query })).refresh.refreshToken
    }
    expect(await failuresOf(load)).toEqual([])
    expect(await secret()).toMatch(/^[\w-]{64}$/)
    expect(await secret()).not.toBe(old)
    await expect(operate('secrets', 'rotate', '--use-next')).rejects.toThrow()
  }, 300_000)
})

describeCompose('the profile backup', () => {
  const { services } = Bun.YAML.parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
    services: { backup: { healthcheck: { test: string[] } } }
  }
  const inVolume = (...command: string[]) =>
    compose.run('run', '--rm', '-T', '--no-deps', '--entrypoint', command.join(' '), 'operator')
  const backups = async () => (await inVolume('ls', '/backups')).trim().split('\n')

  /** What the engine asks every half minute. */
  async function isHealthy(id: string): Promise<boolean> {
    const [, ...command] = services.backup.healthcheck.test
    const asked = docker('exec', id, ...command.map((word) => word.replaceAll('$$', '$')))
    return await asked.then(
      () => true,
      () => false,
    )
  }

  /** What the alert asks. */
  async function isOverdue(): Promise<boolean> {
    const rules = readFileSync(join(ROOT, 'monitoring/prometheus/rules/alerts.yml'), 'utf8')
    const [, expr = ''] = /alert: BackupOverdue\n +expr: (.+)\n/.exec(rules) ?? []
    return (await values('job', expr)).length > 0
  }

  /** Resolves when it has made a backup, or has failed to. */
  async function rests(id: string, seconds: number): Promise<void> {
    await until('it rests', async () => (await docker('top', id)).includes(`sleep ${seconds}`))
  }

  test('gives up old backups for a new one only, and tells when there is none', async () => {
    await inVolume('touch', '-d', "'20 days ago'", '/backups/old.backup', '/backups/x.partial-1')
    const nowhere = 'MUNJIGI_DATABASE_URL=http://127.0.0.1:1'
    const name = await compose.run('run', '-d', '--no-deps', '-e', nowhere, 'backup')
    await rests(name.trim(), 600)
    expect(await backups()).toEqual(['old.backup'])
    expect(await isHealthy(name.trim())).toBe(false)
    await until('Prometheus knows of it', async () => await isOverdue())
    await docker('rm', '--force', name.trim())

    await compose.run('--profile', 'backup', 'up', '-d', '--no-deps', 'backup')
    const [service] = await compose.containers('backup')
    await rests(service?.id ?? '', 86_400)
    expect(await backups()).toEqual([expect.stringMatching(/^\d{8}T\d{6}Z\.backup$/)])
    expect(await isHealthy(service?.id ?? '')).toBe(true)
    await until('Prometheus knows of it', async () => !(await isOverdue()))
    expect(await values('job', 'munjigi_backup_last_success_timestamp_seconds')).toEqual(['node'])
    expectShut((await containersOfProject()).filter((one) => one.service === 'backup'))
  })

  test('is restored from as docs/operations.md says', async () => {
    const name = `${crypto.randomUUID()}.backup`
    await operate('backup', `/backups/${name}`)
    const late = { query: mutation('signup', '{ user { id } }').query.replace(EMAIL, LATE) }
    dataOf(await send(late))
    const page = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
    const [, block = ''] = /```sh\n(docker compose stop munjigi\n[^`]*)```/.exec(page) ?? []
    for (const line of block.replaceAll('NAME', name).trim().split('\n'))
      await compose.run(...line.split(' ').slice(2))
    await allUp(3)
    const login = mutation('login', '{ ... on LoggedIn { tokens { accessToken } } }')
    token = dataOf(await send(login)).login.tokens.accessToken
    const lost = { query: login.query.replace(EMAIL, LATE) }
    expect((await send(lost)).body).toContain('INVALID_CREDENTIALS')
  })
})

describeCompose('a version that does not start', () => {
  test('replaces nobody, and says why', async () => {
    const broken = createCompose({ ...environment, MUNJIGI_LOG_LEVEL: 'loud' })
    const before = await replicas()
    const load = loadOfMe()
    await expect(rollOut(broken, consoleUrl, () => {})).rejects.toThrow(
      'MUNJIGI_LOG_LEVEL: must be one of',
    )
    expect(await failuresOf(load)).toEqual([])
    expect((await replicas()).map(({ id }) => id)).toEqual(before.map(({ id }) => id))
  })
})

describeCompose('the image alone', () => {
  const name = `${PROJECT}-alone`

  afterAll(async () => {
    await docker('rm', '--force', name)
    const volumes = ['secrets', 'data', 'backups'].map((volume) => `${name}-${volume}`)
    await docker('volume', 'rm', '--force', ...volumes)
    await docker('image', 'rm', '--force', name)
  })

  test('serves, is backed up and restored by the commands of docs/operations.md, as printed', async () => {
    const [port = 0] = await freePorts(1)
    const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')
    const [, section = ''] = /\n## The image alone\n([\s\S]*?)\n## /.exec(page) ?? []
    const [settings = '', run = '', restore = ''] = [...section.matchAll(/```sh\n([^`]*)```/g)]
      // Names of ours for what this machine may have: image, container, volumes; not for paths in the container.
      .map(([, block = '']) => block.replaceAll(/(?<!\/)\bmunjigi\b(?!\.)/g, name))
      .map((block) => block.replace('127.0.0.1:3000:', `127.0.0.1:${port}:`))
      .map((block) => block.replace(/^docker build .*$/m, `docker build -q -t ${name} ${ROOT}`))
    writeFileSync(join(folder, 'munjigi.env'), `${settings}MUNJIGI_DRAIN_SECONDS=1\n`)
    const ready = `until curl -sf http://127.0.0.1:${port}/readyz >/dev/null; do sleep 0.2; done`
    const signup = JSON.stringify(mutation('signup', '{ user { id } }'))
    const ask = `curl -sf http://127.0.0.1:${port}/graphql -H 'content-type: application/json' -H 'x-real-ip: 192.0.2.7' -d '${signup}'`
    const script = [run, ready, ask, restore, ready, 'operator users list', `docker logs ${name}`]
    const shell = Bun.spawn(
      ['timeout', '60', 'bash', '-euo', 'pipefail', '-c', script.join('\n')],
      {
        cwd: folder,
        env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      },
    )
    const [out, err] = await Promise.all([
      new Response(shell.stdout).text(),
      new Response(shell.stderr).text(),
    ])
    expect([await shell.exited, err.includes('unknown setting')]).toEqual([0, false])
    expect(out).toContain('restored; all sessions have ended')
    expect(out.split('restored;')[1]).toContain(EMAIL)
    expect(out).toContain('"clientAddress":"192.0.2.7"')
    expect(existsSync(join(folder, 'secret'))).toBe(true)
  })
})

describeCompose('what stays', () => {
  test('is everything, when all is stopped and started under another name', async () => {
    await compose.run('down')
    const renamed = createCompose({ ...environment, EDGE_HOST: 'auth.localhost' })
    await renamed.run('up', '-d')
    await allUp(3)
    const ca = await copyCertificate(renamed)
    const login = graphqlRequest(
      mutation('login', '{ ... on LoggedIn { tokens { accessToken } } }'),
      {},
      'auth.localhost',
    )
    const { tokens } = dataOf(await sendOnce({ port: https, ca }, login)).login
    const claims = JSON.parse(Buffer.from(tokens.accessToken.split('.')[1], 'base64url').toString())
    expect(claims).toMatchObject({ iss: 'https://auth.localhost', email: EMAIL })
  })

  test('is nothing after down -v', async () => {
    await takeDown()
    const label = `label=com.docker.compose.project=${PROJECT}`
    const left = [
      await docker('ps', '--all', '--quiet', '--filter', label),
      await docker('volume', 'ls', '--quiet', '--filter', label),
    ]
    expect(left).toEqual(['', ''])
  })
})

describe('the files', () => {
  test('the page tells how all of it is taken down', () => {
    const page = readFileSync(join(ROOT, 'docs/edge.md'), 'utf8')
    expect(page).toMatch(/^docker compose --profile '\*' down /m)
  })

  test('the documents tell how the certificate is copied', () => {
    const documents = ['README.md', 'README.ko.md', 'docs/edge.md']
    const silent = documents.filter(
      (name) => !readFileSync(join(ROOT, name), 'utf8').includes(COPY),
    )
    expect(silent).toEqual([])
  })

  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')
  const file = Bun.YAML.parse(text) as {
    services: Record<
      string,
      {
        environment?: Record<string, string | null>
        command?: readonly string[]
        mem_limit?: string
        user?: string
        volumes?: readonly unknown[]
      }
    >
  }

  test.each([
    ['/', true],
    ['/mnt/data', true],
    ['/var/lib/docker', true],
    ['/var/lib/docker/overlay2/1/merged', false],
    ['/run/docker/netns/1', false],
    ['/var/lib/containers/storage/overlay', false],
    ['/proc', false],
  ] as const)('a file system at %s is watched: %p', (mountpoint, watched) => {
    const flag = /^--collector\.filesystem\.mount-points-exclude=(.*)$/
    const [, excluded = '.'] =
      (file.services['node-exporter']?.command ?? [])
        .map((line) => flag.exec(line.replaceAll('$$', '$')))
        .find((found) => found !== null) ?? []
    expect(new RegExp(excluded).test(mountpoint)).toBe(!watched)
  })

  test('of /proc only what every kernel has is mounted: Docker starts nothing without it', () => {
    const mounted = [...text.matchAll(/^ +- \/proc\/([^:]+):/gm)].map(([, path]) => path)
    expect(mounted).toEqual(
      ['1/mountinfo', '1/net'].concat('diskstats', 'loadavg', 'meminfo', 'stat', 'vmstat'),
    )
  })

  test('every setting can be set from outside, or is fixed by the file or the image', () => {
    const passed = Object.keys(file.services['munjigi']?.environment ?? {})
    const ofImage = ['HOST', 'PORT', 'METRICS_HOST', 'METRICS_PORT'].map(
      (name) => `MUNJIGI_${name}`,
    )
    const all = [...settingsTable().matchAll(/`(MUNJIGI_\w+)` \|/g)].map(([, name = '']) => name)
    expect(all.length).toBeGreaterThan(20)
    const missing = all.filter(
      (name) => ![...passed, ...ofImage].some((one) => one === name || one === `${name}_FILE`),
    )
    expect(missing).toEqual([])
    const known = (name: string) => all.includes(name.replace(/_FILE$/, '')) || all.includes(name)
    expect(passed.filter((name) => !known(name))).toEqual([])
  })

  test('a replica has the memory for as many hashes as the page says', () => {
    const page = readFileSync(join(ROOT, 'docs/edge.md'), 'utf8')
    const row = page.split('\n').find((line) => line.includes('MUNJIGI_PASSWORD_HASH_MEMORY')) ?? ''
    const number = (pattern: RegExp) => Number(pattern.exec(row)?.[1])
    const [cores, each, rest] = [/than (\d+) cores/, /times (\d+) MiB/, /and (\d+) MiB/].map(number)
    const [, memory] = /`MUNJIGI_PASSWORD_HASH_MEMORY` \| `(\d+)`/.exec(settingsTable()) ?? []
    expect(each).toBe(Number(memory))
    expect(row).toContain('MUNJIGI_PASSWORD_HASH_CONCURRENCY')
    for (const name of ['munjigi', 'operator']) expect(file.services[name]?.mem_limit).toBe('1g')
    const most = (1024 - (rest ?? 0)) / (each ?? 0)
    expect([cores, Math.floor(most)]).toEqual([40, 40])
  })

  test('every port that can be chosen is documented with its default', () => {
    const page = readFileSync(join(ROOT, 'docs/edge.md'), 'utf8')
    const rows = page.split('\n').filter((line) => line.startsWith('| `'))
    const ports = [...text.matchAll(/\$\{(\w+_PORT):-(\d+)\}/g)]
    expect(ports.length).toBeGreaterThan(6)
    const untold = ports.filter(
      ([, name = '', port = '']) =>
        !rows.some((row) => row.includes(`\`${name}\``) && row.includes(port)),
    )
    expect(untold.map(([all]) => all)).toEqual([])
  })

  test('every image has an exact version, and Bun the one that package.json pins', () => {
    const { packageManager } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const images = imagesOfProject()
    expect(images).toContain(`oven/${packageManager.replace('@', ':')}`)
    expect(images.filter((image) => !/:v?\d+\.\d+\.\d+$/.test(image))).toEqual([])
  })

  test('the documents name every service that reaches the socket of Docker', () => {
    const reaching = Object.entries(file.services)
      .filter(([, { user, volumes = [] }]) => {
        const of = volumes.map((volume) => String(volume).split(':')[0] ?? '')
        return user === '0:0' && of.some((path) => /^\/(var\/run.*|run.*)?$/.test(path))
      })
      .map(([name]) => name)
    expect(reaching).toEqual(['cadvisor', 'docker-exporter'])
    for (const page of ['docs/security.md', 'monitoring/README.md'])
      for (const name of reaching)
        expect(readFileSync(join(ROOT, page), 'utf8').toLowerCase()).toContain(name)
  })

  test('git leaves out what the pages have written into the checkout: the secret, backups', () => {
    const left = readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n')
    for (const line of ['.env', 'munjigi.env', '/secret', '*.backup', '/ca.crt'])
      expect(left).toContain(line)
  })

  test('what is mounted from here is here', () => {
    const mounted = [...text.matchAll(/^ +- \.\/([^:]+):/gm)].map(([, path = '']) => path)
    expect(mounted.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    expect(mounted.length).toBeGreaterThan(2)
  })
})

interface Answered {
  readonly data: {
    readonly activeTargets: readonly { readonly labels: { readonly job: string }; health: string }[]
    readonly result: readonly { readonly metric: Readonly<Record<string, string>> }[]
  }
}

function expectShut(all: readonly Inspected[]): void {
  for (const { service, Config, HostConfig } of all) {
    const { ReadonlyRootfs, CapDrop, CapAdd, SecurityOpt, Privileged, Ulimits } = HostConfig
    const about = { service, ReadonlyRootfs, CapDrop, CapAdd, SecurityOpt, Privileged, Ulimits }
    expect(about).toEqual({
      service,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: null,
      SecurityOpt: ['no-new-privileges:true'],
      Privileged: false,
      Ulimits: [{ Name: 'core', Hard: 0, Soft: 0 }],
    })
    // These read what belongs to root.
    if (!['cadvisor', 'otel-collector'].includes(service))
      expect(Config.User.split(':')[0]).toMatch(/^[1-9]\d*$/)
    expect(HostConfig.PidsLimit).toBeGreaterThan(0)
    expect(HostConfig.Memory).toBeGreaterThan(0)
    if (['envoy', 'munjigi', 'sqld'].includes(service))
      expect(HostConfig.MemorySwap).toBe(HostConfig.Memory)
    expect(HostConfig.LogConfig.Config['max-size']).toBe('10m')
  }
}

/** Whether a line of figures is one of this series and service, and no zero where there cannot be one. */
function isOf(series: string, service: string): (line: string) => boolean {
  return (line) =>
    line.startsWith(`${series}{`) &&
    line.includes(`_service="${service}"`) &&
    !(COUNTED.includes(series) && line.endsWith('} 0'))
}

/** Whose pages may read what is there, as it tells a browser; null if no others may. */
async function originsOf(url: string): Promise<string | null> {
  const answer = await fetch(url, { headers: { origin: 'https://elsewhere.example' } })
  expect(answer.status).toBe(200)
  await answer.text()
  return answer.headers.get('access-control-allow-origin')
}

/** Prometheus' own API. */
async function ask(path: string): Promise<Answered> {
  const response = await fetch(`http://127.0.0.1:${prometheus}/api/v1/${path}`)
  return (await response.json()) as Answered
}

/** VictoriaLogs' own API. */
async function askLogs(path: string, query: Readonly<Record<string, string>>): Promise<string> {
  const url = `http://127.0.0.1:${logs}/select/logsql/${path}`
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(query) })
  return await answer.text()
}

/** The lines that a query in LogsQL finds; none while nobody answers. */
async function linesOf(query: string): Promise<Readonly<Record<string, string>>[]> {
  const text = await askLogs('query', { query }).catch(() => '')
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
}

/** The values of a label in the answer to a query. */
async function values(label: string, query: string): Promise<string[]> {
  const { data } = await ask(`query?query=${encodeURIComponent(query)}`)
  return data.result.map(({ metric }) => metric[label] ?? '')
}

interface Inspected {
  readonly service: string
  readonly State: {
    readonly ExitCode: number
    readonly Running: boolean
    readonly Health?: { readonly Status: string }
  }
  readonly Config: {
    readonly User: string
    readonly Env?: readonly string[]
    readonly Labels: Readonly<Record<string, string>>
  }
  readonly HostConfig: Readonly<Record<string, unknown>> & {
    readonly PidsLimit: number
    readonly Memory: number
    readonly MemorySwap: number
    readonly LogConfig: { readonly Config: Readonly<Record<string, string>> }
  }
  readonly Mounts: readonly { readonly Destination: string; readonly RW: boolean }[]
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, unknown>>
    readonly Ports?: Readonly<
      Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>
    >
  }
}

/** All containers of this project, as Docker describes them. */
async function containersOfProject(): Promise<Inspected[]> {
  const label = `label=com.docker.compose.project=${PROJECT}`
  const ids = (await docker('ps', '--all', '--quiet', '--filter', label)).trim().split('\n')
  const all = JSON.parse(await docker('inspect', ...ids)) as Inspected[]
  return all.map((one) => ({
    ...one,
    service: one.Config.Labels['com.docker.compose.service'] ?? '',
  }))
}
