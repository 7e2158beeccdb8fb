// Prometheus, Alertmanager and exporters beside the real edge, replicas and database: every panel and rule has data after
// a short traffic with failures, every fault makes its alert true, and no client can make series. How long an alert waits
// is the business of monitoring/prometheus/tests. Windows of five minutes are half a minute here.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DATASOURCES } from '../monitoring/grafana/board.ts'
import { BOARDS, fileOf, print } from '../monitoring/grafana/render.ts'
import type { Answer } from './ask.ts'
import { ask } from './ask.ts'
import { imagesOfProject } from './compose.ts'
import type { Monitoring } from './monitoring.ts'
import { hasAllPrograms, startMonitoring } from './monitoring.ts'
import { requires } from './requirement.ts'
import type { Stack } from './stack.ts'
import { startStack } from './stack.ts'
import { canRunStack } from './tools.ts'
import { until } from './until.ts'

const PROMETHEUS = join(import.meta.dir, '..', 'monitoring', 'prometheus')
const ROOT = join(import.meta.dir, '..')
const PASSWORD = 'correct horse battery staple'
const LOGIN =
  'mutation($e:String!,$p:String!){login(email:$e,password:$p){... on LoggedIn{tokens{accessToken refreshToken}}}}'
const SIGNUP =
  'mutation($e:String!,$p:String!){signup(email:$e,password:$p){tokens{accessToken refreshToken}}}'
const REFRESH = 'mutation($t:String!){refresh(refreshToken:$t){accessToken refreshToken}}'

/** Empty after a traffic like this one; each has a case in monitoring/prometheus/tests, or data in compose.test.ts. */
const EMPTY: readonly string[] = [
  // Only where sqld has replicas: "a replica of sqld is stuck".
  'libsql_server_current_frame_no{role="replica"}',
  // Some engines do not count the disk of a container.
  'container_fs_',
  // Only in Compose, with the profile backup: compose.test.ts.
  'munjigi_backup_last_success_timestamp_seconds',
  // Only there, with the profile logs.
  'vl_rows_ingested_total',
  'up{job="victorialogs"}',
]

const canRun = requires(
  "Debian's prometheus, prometheus-alertmanager, prometheus-node-exporter, prometheus-blackbox-exporter",
  hasAllPrograms(),
)
const canStack = await canRunStack()
setDefaultTimeout(300_000)

/** The exporter of containers as docker-compose.yml has it. */
const CADVISOR = imagesOfProject().find((image) => image.includes('/cadvisor:')) ?? ''
const canWatch = requires(
  `a Docker engine with ${CADVISOR} (docker pull)`,
  Bun.which('docker') !== null &&
    Bun.spawnSync(['docker', 'image', 'inspect', CADVISOR]).exitCode === 0,
)

interface Containers {
  /** As `127.0.0.1:49153`. */
  readonly address: string
  remove(): void
}

/** The exporter itself is the container that it must see. */
function startContainers(): Containers {
  const name = `munjigi-watch-${process.pid}`
  const root = docker('info', '--format', '{{.DockerRootDir}}')
  docker(
    ...['run', '--detach', '--name', name, '--publish', '127.0.0.1::8080', '--read-only'],
    ...['--cap-drop', 'ALL', '--memory', '256m', '--user', '0:0', '--tmpfs', '/tmp'],
    ...['/:/rootfs:ro', '/var/run:/var/run:ro', '/sys:/sys:ro', `${root}:${root}:ro`].flatMap(
      (mount) => ['--volume', mount],
    ),
    ...[CADVISOR, '--docker_only=true', '--housekeeping_interval=5s'],
    ...['--store_container_labels=false'],
  )
  const address = docker('port', name, '8080/tcp').split('\n')[0] ?? ''
  return { address, remove: () => void docker('rm', '--force', name) }
}

function docker(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['docker', ...args])
  if (exitCode !== 0) throw new Error(stderr.toString())
  return stdout.toString().trim()
}

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly annotations?: Readonly<Record<string, string>>
}

function rules(): readonly Rule[] {
  const folder = join(PROMETHEUS, 'rules')
  return readdirSync(folder).flatMap((file) => {
    const text = readFileSync(join(folder, file), 'utf8')
    const { groups } = Bun.YAML.parse(text) as { groups: { rules: Rule[] }[] }
    return groups.flatMap((group) => group.rules)
  })
}

/** Rules as they are run here. */
const shorten = (text: string) =>
  text.replaceAll('[5m]', '[30s]').replaceAll(/ (?:15|30)s\n/g, ' 1s\n')

/** A query of Grafana as Prometheus takes it. */
const plain = (expr: string) => expr.replaceAll('$__rate_interval', '30s')

/** The series that an expression asks for, with their matchers. */
function selectors(expr: string): readonly string[] {
  const name =
    /\b(?:(?:munjigi|envoy|node|container|probe|libsql|process|http)[a-z0-9_:]*|up|ALERTS)\b(?:\{[^}]*\})?/g
  return (expr.replaceAll(/(by|on|without) \([^)]*\)/g, '').match(name) ?? []).filter(
    (found) => !/^(node|process|http|munjigi|envoy)$/.test(found),
  )
}

describe('the files', () => {
  test('the dashboards are what their code says', () => {
    for (const board of BOARDS) expect(readFileSync(fileOf(board), 'utf8')).toBe(print(board))
    const files = readdirSync(join(ROOT, 'monitoring', 'grafana', 'dashboards'))
    expect(files.length).toBe(BOARDS.length)
  })

  test('every panel has a description, and a legend for each query', () => {
    for (const panel of BOARDS.flatMap(({ panels }) => panels)) {
      expect(panel.description.length).toBeGreaterThan(5)
      for (const { legend } of panel.queries) expect(legend).not.toBe('')
    }
  })

  test('Grafana finds the data source and the dashboards that the files name', () => {
    const read = (path: string) =>
      Bun.YAML.parse(
        readFileSync(join(ROOT, 'monitoring', 'grafana', 'provisioning', path), 'utf8'),
      ) as { datasources: { uid: string; url: string; editable: boolean }[] }
    const sources = ['prometheus', 'logs'].map(
      (name) => read(`datasources/${name}.yml`).datasources[0],
    )
    expect(sources).toMatchObject([
      { ...DATASOURCES.metrics, url: 'http://prometheus:9090', editable: false },
      { ...DATASOURCES.logs, url: 'http://victorialogs:9428', editable: false },
    ])
    const compose = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')
    expect(compose).toContain('./monitoring/grafana/dashboards:/etc/munjigi/dashboards:ro')
  })

  test('how many replicas are expected stands in one rule, as docker-compose.yml has them', () => {
    const compose = Bun.YAML.parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
      services: { munjigi: { deploy: { replicas: number } } }
    }
    const expected = rules().find(({ record }) => record === 'munjigi:replicas_expected:count')
    expect(expected?.expr).toBe(`vector(${compose.services.munjigi.deploy.replicas})`)
    const counting = BOARDS.flatMap(({ panels }) => panels).filter(({ queries }) =>
      queries.some(({ expr }) => expr.includes('munjigi:replicas_up:count')),
    )
    expect(counting.map(({ limit, queries }) => [limit?.at, queries[0]?.expr])).toEqual([
      [1, 'munjigi:replicas_up:count / munjigi:replicas_expected:count'],
    ])
    const telling = ['docs/edge.md', 'docs/runbooks.md', 'monitoring/README.md']
    for (const page of telling) {
      const text = readFileSync(join(ROOT, page), 'utf8')
      const places = text
        .split(/\n(?:\n|\d\. |\|)/)
        .filter((part) => part.includes('munjigi:replicas_expected:count` in'))
      expect(places.map((part) => part.includes('`docker compose restart prometheus`'))).toEqual([
        true,
      ])
    }
  })

  test('every alert has a section in the runbooks and a case that fires and one that does not', () => {
    const runbooks = readFileSync(join(ROOT, 'docs', 'runbooks.md'), 'utf8')
    const cases = readdirSync(join(PROMETHEUS, 'tests')).map((file) =>
      readFileSync(join(PROMETHEUS, 'tests', file), 'utf8'),
    )
    for (const { alert, annotations } of rules().filter((rule) => rule.alert)) {
      expect(runbooks).toContain(`\n## ${alert}\n`)
      expect(annotations?.['runbook']).toBe(`docs/runbooks.md#${alert?.toLowerCase()}`)
      const mine = cases
        .join('\n')
        .split('- ')
        .filter((text) => text.includes(`"${alert}"`))
      expect(mine.some((text) => text.includes('value: '))).toBe(true)
      if (alert !== 'Watchdog')
        expect(mine.some((text) => text.includes('exp_samples: []'))).toBe(true)
    }
  })
})

describe.skipIf(!canRun)('promtool', () => {
  const promtool = (...args: string[]) => Bun.spawnSync(['promtool', ...args], { cwd: PROMETHEUS })

  test('takes the configuration and the rules', () => {
    const { exitCode, stderr } = promtool('check', 'config', 'prometheus.yml')
    expect({ exitCode, stderr: stderr.toString() }).toMatchObject({ exitCode: 0 })
  })

  test('sees each alert fire in its case, and not in the other', () => {
    const { exitCode, stdout } = promtool('test', 'rules', 'tests/short.yml', 'tests/long.yml')
    expect({ exitCode, said: stdout.toString() }).toMatchObject({ exitCode: 0 })
    // Half a minute of work, most of it on one core.
  }, 600_000)
})

describe.skipIf(!canRun || !canStack)('live', () => {
  let stack: Stack
  let monitoring: Monitoring

  let containers: Containers | undefined

  beforeAll(async () => {
    containers = canWatch ? startContainers() : undefined
    stack = await startStack({
      env: {
        MUNJIGI_REFRESH_GRACE: '0s',
        MUNJIGI_DRAIN_SECONDS: '0',
        // All come from one address.
        MUNJIGI_THROTTLE_SIGNUP_ATTEMPTS: '0',
        // Nobody listens there.
        MUNJIGI_PASSWORD_BREACH_URL: 'http://127.0.0.1:1/range',
      },
    })
    monitoring = await startMonitoring(stack, {
      rules: shorten,
      scrapeInterval: '1s',
      ...(containers ? { containers: containers.address } : {}),
    })
    await monitoring.ready()
    await traffic(stack)
  })

  afterAll(async () => {
    await monitoring?.[Symbol.asyncDispose]()
    await stack?.stop()
    containers?.remove()
  })

  test('every query of every panel has data, with the labels of its legend', async () => {
    // Those of logs are for VictoriaLogs: compose.test.ts.
    const queries = BOARDS.filter(({ uid, source }) =>
      uid === 'containers' ? canWatch : source !== 'logs',
    )
      .flatMap(({ panels }) => panels)
      .flatMap((panel) => panel.queries.map((query) => ({ title: panel.title, ...query })))
      .filter(({ expr }) => !EMPTY.some((series) => expr.includes(series)))
    const empty: string[] = []
    await using _ = goingOn(stack)
    for (const { title, expr, legend } of queries) {
      const labels = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name ?? '')
      await until(title, async () => {
        const found = await monitoring.query(plain(expr))
        return found.some(
          ({ metric, value }) => !Number.isNaN(value) && labels.every((label) => metric[label]),
        )
      }).catch(() => empty.push(`${title}: ${expr}`))
    }
    expect(empty).toEqual([])
  })

  test.skipIf(!canWatch)('every container that runs is there by its name', async () => {
    const running = docker('ps', '--format', '{{.Names}}', '--filter', 'name=munjigi-watch')
    for (const name of running.split('\n'))
      await until(`${name} is seen`, async () => {
        const [memory] = await monitoring.query(
          `container_memory_working_set_bytes{name="${name}"}`,
        )
        return memory !== undefined && memory.value > 0
      })
  })

  test('every series that a rule names exists', async () => {
    const named = new Set(rules().flatMap(({ expr }) => selectors(expr)))
    expect(named.size).toBeGreaterThan(25)
    const missing: string[] = []
    for (const selector of named) {
      if (EMPTY.includes(selector)) continue
      if ((await monitoring.query(selector)).length === 0) missing.push(selector)
    }
    expect(missing).toEqual([])
  })

  test('every query of the runbooks is one', async () => {
    const text = readFileSync(join(ROOT, 'docs', 'runbooks.md'), 'utf8')
    const queries = [...text.matchAll(/```promql\n([^`]*)```/g)].map(([, expr]) => expr ?? '')
    expect(queries.length).toBeGreaterThan(20)
    for (const expr of queries) {
      const found = await monitoring.query(expr.replaceAll('[5m]', '[30s]'))
      if (!expr.includes('== 0') && !EMPTY.some((series) => expr.includes(series)))
        expect({ expr, found: found.length > 0 }).toMatchObject({ found: true })
    }
  })

  test('no page of another origin may read Prometheus', async () => {
    const url = `${monitoring.url}/api/v1/query?query=up`
    const answer = await fetch(url, { headers: { origin: 'https://elsewhere.example' } })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, null])
  })

  test('what may be empty is at most five', () => {
    expect(EMPTY.length).toBeLessThanOrEqual(5)
  })

  test('odd operation names, paths and user agents make no series', async () => {
    const count = async () => await monitoring.query('scrape_samples_scraped{job="munjigi"}')
    const before = Math.max(...(await count()).map(({ value }) => value))
    await each(10_000, 40, (index) => odd(stack, index))
    const seen = await until('a scrape after them', async () => {
      const [total] = await monitoring.query('sum(http_requests_total{job="munjigi"})')
      return total && total.value >= 10_000 ? await count() : undefined
    })
    const after = Math.max(...seen.map(({ value }) => value))
    expect(before).toBeLessThan(1_500)
    expect(after - before).toBeLessThan(60)
  })

  /** Whether the expression of this alert is true. */
  const isTrue = async (name: string) => {
    const rule = rules().find(({ alert }) => alert === name)
    if (!rule) throw new Error(`no alert ${name}`)
    return (await monitoring.query(shorten(rule.expr))).length > 0
  }
  const alerting = (name: string) => until(`${name} is true`, () => isTrue(name), 60_000)
  /** Not, or not any more: of what went before, or because one scrape was late. */
  const quiet = (name: string) =>
    until(`${name} is not true`, async () => !(await isTrue(name)), 60_000)

  test('wrong passwords by the dozen', async () => {
    await quiet('LoginBruteForceSpike')
    await each(60, 6, (index) =>
      send(stack, LOGIN, { e: `guess${index}@example.com`, p: PASSWORD }),
    )
    await alerting('LoginBruteForceSpike')
  })

  test('one who goes on guessing though the throttle refuses it', async () => {
    await quiet('LoginAttemptsThrottled')
    await each(120, 6, () => send(stack, LOGIN, { e: 'kim0@example.com', p: 'guessed again' }))
    await alerting('LoginAttemptsThrottled')
  })

  test('a refresh token that was replaced', async () => {
    await alerting('RefreshTokenReuse')
  })

  test('nobody who can say whether a password is from a breach', async () => {
    await alerting('PasswordBreachCheckFailing')
  })

  test('a certificate for two days', async () => {
    await quiet('EdgeCertificateExpires')
    await quiet('ServedCertificateExpires')
    stack.renewCertificate(2)
    await Promise.all([alerting('EdgeCertificateExpires'), alerting('ServedCertificateExpires')])
  })

  test.skipIf(!canWatch)('a container at its limit of memory', async () => {
    const limits = ['--memory', '16m', '--memory-swap', '16m', '--network', 'none']
    const grow = 'text=a; while :; do text=$text$text; done'
    const { exitCode } = Bun.spawnSync(
      ['docker', 'run', '--rm', ...limits, '--entrypoint', 'sh', CADVISOR, '-c', grow],
      { stderr: 'ignore' },
    )
    expect(exitCode).toBe(137)
    await alerting('OutOfMemoryKill')
  })

  test('a replica that dies', async () => {
    for (const name of ['ReplicaMissing', 'EnvoyUpstreamUnhealthy', 'TargetDown']) await quiet(name)
    stack.replicas[0]?.kill('SIGKILL')
    await Promise.all(['ReplicaMissing', 'EnvoyUpstreamUnhealthy', 'TargetDown'].map(alerting))
    await stack.replicas[0]?.start()
  })

  test('a database that hangs', async () => {
    await quiet('DatabaseUnwritable')
    stack.database.kill('SIGSTOP')
    await each(12, 6, (index) =>
      send(stack, SIGNUP, { e: `hangs${index}@example.com`, p: PASSWORD }),
    )
    await Promise.all(['DatabaseUnwritable', 'DatabaseSlow', 'OperationsFail'].map(alerting))
    stack.database.kill('SIGCONT')
    await quiet('DatabaseUnwritable')
  })

  test('all replicas down, told to Alertmanager, and over', async () => {
    for (const replica of stack.replicas) replica.kill('SIGKILL')
    await alerting('EnvoyNoHealthyUpstream')
    await each(60, 10, () => send(stack, '{__typename}', {}))
    await Promise.all([alerting('EdgeServerErrors'), alerting('EdgeProbeFails')])
    const told = async () => (await monitoring.notified()).includes('EnvoyNoHealthyUpstream')
    await until('Alertmanager knows', told, 60_000)
    await Promise.all(stack.replicas.map((replica) => replica.start()))
    await until('it is over', async () => !(await told()), 90_000)
  })
})

/** The same traffic again and again, until disposed of: that waits for its last round, and throws what went wrong. */
function goingOn(stack: Stack): AsyncDisposable {
  let over = false
  const loop = async () => {
    for (let round = 1; !over; round += 1) await traffic(stack, `again${round}`)
  }
  const running = loop()
  // Thrown below, where it is waited for.
  running.catch(() => {})
  return {
    async [Symbol.asyncDispose]() {
      over = true
      await running
    },
  }
}

/** What people and attackers do, in a few seconds. */
async function traffic(stack: Stack, name = 'kim'): Promise<void> {
  const tokens = async (query: string, variables: object) => {
    const { data } = await send(stack, query, variables)
    return (data?.signup?.tokens ?? data?.login?.tokens ?? data?.refresh) as Tokens | undefined
  }
  for (let round = 0; round < 4; round += 1) {
    const who = { e: `${name}${round}@example.com`, p: PASSWORD }
    const first = await tokens(SIGNUP, who)
    await tokens(LOGIN, who)
    await send(stack, LOGIN, { ...who, p: 'not the password of kim' })
    await tokens(REFRESH, { t: first?.refreshToken })
    await send(stack, '{nonsense}', {})
    await tokens(REFRESH, { t: first?.refreshToken })
    await each(8, 8, () => send(stack, '{__typename}', {}))
  }
}

interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
}

function send({ url, ca }: Stack, query: string, variables = {}): Promise<Answer> {
  return ask(url, query, { variables, ca: ca.text })
}

/** Past the edge, which refuses most of it: what a replica would count. */
async function odd(stack: Stack, index: number): Promise<void> {
  const replica = stack.replicas[index % stack.replicas.length]
  const path = index % 2 === 0 ? '/graphql' : `/odd/${index}`
  const query = `query Odd${index}{__typename}`
  const answer = await fetch(`http://${replica?.address}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': `odd/${index}` },
    body: JSON.stringify({ query, operationName: `Odd${index}` }),
  })
  await answer.arrayBuffer()
}

/** `count` calls, so many at a time. */
async function each(
  count: number,
  atOnce: number,
  call: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next
      next += 1
      await call(index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
