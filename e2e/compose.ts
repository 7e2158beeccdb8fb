// docker-compose.yml from here: finding Compose (v2, or 1.29), running it, and replacing the replicas without a failed
// request. Behind `npm run rollout` and the tests.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConsole } from '../envoy/console.ts'
import { outputOf } from './output.ts'
import { until } from './until.ts'

const ROOT = join(import.meta.dir, '..')

/** One project of Compose: this repository's file under one name, with one environment. */
export interface Compose {
  /** Runs `docker compose …` and resolves to what it prints. Throws with what it says when it fails. */
  run(...args: string[]): Promise<string>
  /** The containers of a service that exist, oldest first; without those of `docker compose run`. */
  containers(service: string): Promise<Container[]>
}

/** A container, as Docker describes it now. */
export interface Container {
  readonly id: string
  readonly name: string
  readonly pid: number
  readonly running: boolean
  /** How often the engine has started it again. */
  readonly restarts: number
  /** How long it may take to stop. */
  readonly graceSeconds: number
  /** One on each of its networks. */
  readonly addresses: readonly string[]
}

/** How Compose is called here: as `COMPOSE` says, as v2 or as 1.29. Null where there is none. */
export function findCompose(): readonly string[] | null {
  const named = process.env['COMPOSE']
  const ways = named
    ? [named.split(' ')]
    : [['docker', 'compose'], [Bun.which('docker-compose') ?? '/usr/bin/docker-compose']]
  return ways.find((way) => succeeds([...way, 'version'])) ?? null
}

/** Whether a Docker engine answers, and Compose is there. */
export function hasDocker(): boolean {
  return succeeds(['docker', 'version']) && findCompose() !== null
}

/** The project with this environment; with none of its own, that of the shell. */
export function createCompose(environment = process.env): Compose {
  const command = findCompose() ?? ['docker', 'compose']
  const options = { cwd: ROOT, env: environment }
  let all = ['--all']
  return {
    run: (...args) => outputOf([...command, ...args], options),
    async containers(service) {
      const list = (which: string[]) =>
        outputOf([...command, 'ps', ...which, '--quiet', service], options)
      const ids = await list(all).catch(async () => {
        // 1.29 shows all by itself, and does not know how to be asked.
        const found = await list([])
        all = []
        return found
      })
      return ids.trim() === '' ? [] : await inspect(ids.trim().split('\n'))
    },
  }
}

/** The images that the project takes from elsewhere, with their tags. */
export function imagesOfProject(): string[] {
  const [compose, dockerfile] = ['docker-compose.yml', 'Dockerfile'].map((file) =>
    readFileSync(join(ROOT, file), 'utf8'),
  )
  const named = [
    ...(compose ?? '').matchAll(/^ +image: ([^\s$]\S*:\S+)$/gm),
    ...(dockerfile ?? '').matchAll(/^FROM (\S+)/gm),
  ]
  return [...new Set(named.map(([, image = '']) => image))].sort()
}

/** Where the console of the project is published. Throws when the edge does not run. */
export async function consoleOf(compose: Compose): Promise<string> {
  return `http://${(await compose.run('port', 'envoy', '8404')).trim()}`
}

/** Runs `docker …` and resolves to what it prints. Throws with what it says when it fails. */
export async function docker(...args: string[]): Promise<string> {
  return await outputOf(['docker', ...args], { cwd: ROOT })
}

/**
 * Replaces every replica: starts a new one, waits until the edge sends it requests, and lets an old one finish and end.
 * There are never fewer than before. A stopped one is replaced by a new one, too. Throws when a new one does not get ready; the
 * old ones that are left stay.
 */
export async function rollOut(
  compose: Compose,
  consoleUrl: string,
  say: (line: string) => void,
): Promise<void> {
  const all = await compose.containers('munjigi')
  const stopped = all.filter((replica) => !replica.running)
  const old = all.filter((replica) => replica.running)
  // Compose would start the stopped ones again rather than make new ones.
  for (const { id } of stopped) await docker('rm', id)
  let running = old.length
  for (const replica of [...stopped, ...old]) {
    const next = await startOneMore(compose, running + 1)
    try {
      await ready(next, consoleUrl)
    } catch (error) {
      await docker('rm', '--force', next.id)
      throw error
    }
    say(`${next.name} gets requests`)
    if (replica.running) await end(replica, say)
    else running += 1
  }
}

/** How long a new replica may take until the edge sends it requests. */
const READY_MS = 60_000

async function startOneMore(compose: Compose, count: number): Promise<Container> {
  const before = new Set((await compose.containers('munjigi')).map(({ id }) => id))
  const scale = ['--scale', `munjigi=${count}`]
  await compose.run('up', '-d', '--no-deps', '--no-recreate', '--no-build', ...scale, 'munjigi')
  const next = (await compose.containers('munjigi')).find(({ id }) => !before.has(id))
  if (!next) throw new Error('Compose started no new replica')
  return next
}

async function end(
  { id, name, graceSeconds }: Container,
  say: (line: string) => void,
): Promise<void> {
  await docker('stop', '--time', String(graceSeconds), id)
  await docker('rm', id)
  say(`${name} has ended`)
}

/** Resolves when the edge sends it requests. Throws with its last lines when it cannot start. */
async function ready({ id, name, addresses }: Container, consoleUrl: string): Promise<void> {
  const what = `the edge sends requests to ${name}`
  await until(what, () => throwIfDead().then(isUp), READY_MS)

  async function throwIfDead(): Promise<void> {
    const [now] = await inspect([id])
    if (now && now.restarts < 2) return
    throw new Error(`${name} does not start:\n${await lastWords(id)}`)
  }

  async function isUp(): Promise<boolean | undefined> {
    const view = await readConsole(consoleUrl)
    return view?.replicas.some(
      ({ address, state }) => state === 'up' && addresses.includes(address.replace(/:\d+$/, '')),
    )
  }
}

/** Docker keeps what a container said on two streams. */
async function lastWords(id: string): Promise<string> {
  return (await outputOf(['sh', '-c', `docker logs --tail 10 ${id} 2>&1`], { cwd: ROOT })).trim()
}

/** What Docker's own description looks like, as far as it is read here. */
interface Inspected {
  readonly Id: string
  readonly Name: string
  readonly Created: string
  readonly State: { readonly Pid: number; readonly Running: boolean }
  readonly RestartCount: number
  readonly Config: {
    readonly Env?: readonly string[]
    readonly Labels: Readonly<Record<string, string>>
  }
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>
  }
}

async function inspect(ids: readonly string[]): Promise<Container[]> {
  const all = JSON.parse(await docker('inspect', ...ids)) as Inspected[]
  return all
    .filter(({ Config }) => Config.Labels['com.docker.compose.oneoff'] !== 'True')
    .sort((one, other) => one.Created.localeCompare(other.Created))
    .map(({ Id, Name, State, RestartCount, Config, NetworkSettings }) => ({
      id: Id,
      name: Name.slice(1),
      pid: State.Pid,
      running: State.Running,
      restarts: RestartCount,
      graceSeconds: drainSecondsOf(Config.Env ?? []) + 14,
      addresses: Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress),
    }))
}

/** How long a replica drains: as its environment says, or the default. */
function drainSecondsOf(environment: readonly string[]): number {
  const line = environment.find((one) => one.startsWith('MUNJIGI_DRAIN_SECONDS='))
  return Number(line?.split('=')[1] || 6)
}

function succeeds(command: string[]): boolean {
  try {
    return Bun.spawnSync(command, { stdout: 'ignore', stderr: 'ignore' }).exitCode === 0
  } catch {
    return false
  }
}
