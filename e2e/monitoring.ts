// Prometheus and what it asks, beside a native stack: the files of monitoring/ with local addresses in the place of those
// of Compose. A job whose exporter is not installed is left out.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dyingWithUs } from './orphans.ts'
import { readLines } from './output.ts'
import { freePorts } from './ports.ts'
import type { Stack } from './stack.ts'
import { until } from './until.ts'

/** Prometheus at work. Disposing of it ends it and its exporters. */
export interface Monitoring extends AsyncDisposable {
  /** The URL of Prometheus, without a slash at the end. */
  readonly url: string
  /** The result of a PromQL expression now. Throws with what Prometheus says if it is not valid. */
  query(expr: string): Promise<readonly Sample[]>
  /** Resolves when every target was asked with success. Throws with what did not answer within a minute. */
  ready(): Promise<void>
  /** The alerts that Alertmanager holds, by name. */
  notified(): Promise<readonly string[]>
}

/** One series and its value. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

/** What a test does with the files before they are used. */
export interface MonitoringOptions {
  /** An exporter of containers that runs already, as `127.0.0.1:9104`. */
  readonly containers?: string
  /** Changes the text of each file of rules. */
  readonly rules?: (text: string) => string
  readonly scrapeInterval?: string
  /** The port of Prometheus; any free one if it is not given. */
  readonly port?: number
}

/** The programs of Debian's packages. */
const PROGRAMS = {
  prometheus: 'prometheus',
  alertmanager: 'prometheus-alertmanager',
  node: 'prometheus-node-exporter',
  blackbox: 'prometheus-blackbox-exporter',
}

const FOLDER = join(import.meta.dir, '..', 'monitoring')

/** Whether all programs are installed. */
export function hasAllPrograms(): boolean {
  return [...Object.values(PROGRAMS), 'promtool'].every((name) => Bun.which(name))
}

/** Whether Prometheus is installed, without which there is nothing to see. */
export function hasPrometheus(): boolean {
  return Bun.which(PROGRAMS.prometheus) !== null
}

/** Starts Prometheus, and those of the others that are installed. */
export async function startMonitoring(
  stack: Stack,
  options: MonitoringOptions = {},
): Promise<Monitoring> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-monitoring-'))
  const [prometheus = 0, alertmanager = 0, node = 0, blackbox = 0] = await freePorts(4)
  const port = options.port ?? prometheus
  const url = `http://127.0.0.1:${port}`
  const alertmanagerUrl = `http://127.0.0.1:${alertmanager}`
  const has = (program: string) => Bun.which(program) !== null
  const targets: Targets = {
    munjigi: stack.replicas.map(({ metricsUrl }) => new URL(metricsUrl).host),
    envoy: [`127.0.0.1:${stack.ports.metrics}`],
    sqld: [new URL(stack.databaseMetricsUrl).host],
    prometheus: [`127.0.0.1:${port}`],
    ...(has(PROGRAMS.node) ? { node: [`127.0.0.1:${node}`] } : {}),
    ...(has(PROGRAMS.blackbox) ? { tls: [`${stack.url}/.well-known/jwks.json`] } : {}),
    ...(has(PROGRAMS.alertmanager) ? { alertmanager: [`127.0.0.1:${alertmanager}`] } : {}),
    ...(options.containers ? { containers: [options.containers] } : {}),
  }
  const expected = `vector(${stack.replicas.length})`
  writeConfiguration(folder, {
    targets,
    options,
    blackbox,
    ca: stack.ca.path,
    rules: (text) => (options.rules?.(text) ?? text).replace('vector(3)', expected),
  })
  const listen = (at: number) => `--web.listen-address=127.0.0.1:${at}`
  const commands = [
    [PROGRAMS.node, listen(node)],
    [PROGRAMS.blackbox, `--config.file=${join(folder, 'blackbox.yml')}`, listen(blackbox)],
    [
      PROGRAMS.alertmanager,
      `--config.file=${join(FOLDER, 'alertmanager', 'alertmanager.yml')}`,
      `--storage.path=${join(folder, 'alertmanager')}`,
      '--cluster.listen-address=',
      listen(alertmanager),
    ],
    [
      PROGRAMS.prometheus,
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      // As in docker-compose.yml.
      '--web.cors.origin=',
      listen(port),
    ],
  ] as const
  const children = commands
    .filter(([program]) => has(program))
    .map(([program, ...args]) => run(program, ...args))
  return {
    url,
    query: (expr) => query(url, expr),
    ready,
    notified: () => notified(alertmanagerUrl),
    async [Symbol.asyncDispose]() {
      for (const { process } of children) process.kill('SIGTERM')
      for (const { process } of children) await process.exited
      rmSync(folder, { recursive: true, force: true })
    },
  }

  async function ready(): Promise<void> {
    const silent = new Set(Object.values(targets).flat())
    await until(
      'every target answers Prometheus',
      async () => {
        const ended = children.find(({ process }) => process.exitCode !== null)
        if (ended) throw new Error(`a program ended:\n${ended.lines.slice(-10).join('\n')}`)
        const up = await query(url, 'up == 1').catch(() => [])
        return up.length === silent.size
      },
      60_000,
    )
  }
}

/** Addresses by job. */
type Targets = Readonly<Record<string, readonly string[]>>

interface Job {
  job_name: string
  dns_sd_configs?: unknown
  static_configs?: { targets: readonly string[]; labels?: unknown }[]
  relabel_configs?: { target_label: string; replacement?: string }[]
}

function writeConfiguration(
  folder: string,
  given: {
    targets: Targets
    options: MonitoringOptions
    blackbox: number
    ca: string
    rules: (text: string) => string
  },
): void {
  const { targets, options, blackbox, ca, rules } = given
  const read = (...path: string[]) => readFileSync(join(FOLDER, ...path), 'utf8')
  const config = Bun.YAML.parse(read('prometheus', 'prometheus.yml')) as {
    global: { scrape_interval: string; evaluation_interval: string; scrape_timeout?: string }
    alerting: unknown
    scrape_configs: Job[]
  }
  if (options.scrapeInterval)
    config.global = {
      scrape_interval: options.scrapeInterval,
      evaluation_interval: options.scrapeInterval,
    }
  config.alerting = {
    alertmanagers: [{ static_configs: [{ targets: targets['alertmanager'] ?? [] }] }],
  }
  config.scrape_configs = config.scrape_configs.flatMap((job) => {
    const local = targets[job.job_name]
    return local ? [place(job, local, options)] : []
  })
  for (const job of config.scrape_configs)
    for (const step of job.relabel_configs ?? [])
      if (step.replacement) step.replacement = `127.0.0.1:${blackbox}`
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
  writeFileSync(
    join(folder, 'blackbox.yml'),
    read('blackbox', 'blackbox.yml').replace('/certs/live/ca.crt', ca),
  )
  mkdirSync(join(folder, 'rules'))
  for (const file of readdirSync(join(FOLDER, 'prometheus', 'rules'))) {
    const text = read('prometheus', 'rules', file)
    writeFileSync(join(folder, 'rules', file), rules(text))
  }
}

function place(job: Job, targets: readonly string[], { scrapeInterval }: MonitoringOptions): Job {
  const { dns_sd_configs: _, ...rest } = job
  const labels = job.static_configs?.[0]?.labels
  return {
    ...rest,
    ...(scrapeInterval ? { scrape_interval: scrapeInterval } : {}),
    static_configs: [{ targets, ...(labels ? { labels } : {}) }],
  }
}

function run(program: string, ...args: string[]) {
  const child = Bun.spawn([...dyingWithUs(), program, ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    void readLines(stream, (line) => void lines.push(line))
  return { process: child, lines }
}

async function query(url: string, expr: string): Promise<readonly Sample[]> {
  const answer = await fetch(`${url}/api/v1/query`, {
    method: 'POST',
    body: new URLSearchParams({ query: expr }),
  })
  const { status, error, data } = (await answer.json()) as {
    status: string
    error?: string
    data?: { result: { metric: Record<string, string>; value: [number, string] }[] }
  }
  if (status !== 'success' || !data) throw new Error(`${error}: ${expr}`)
  return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
}

async function notified(url: string): Promise<readonly string[]> {
  const answer = await fetch(`${url}/api/v2/alerts?active=true&inhibited=true`)
  const alerts = (await answer.json()) as { labels: { alertname: string } }[]
  return alerts.map(({ labels }) => labels.alertname)
}
