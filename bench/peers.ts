// Other auth servers, as they are shipped, under the same load by the same scripts. They are installed from their own
// registries into .cache/peers; one that cannot be had is reported as skipped.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Load } from './drive.ts'
import type { Cores } from './machine.ts'
import type { Kind, Requests } from './peers/kinds.ts'
import { BETTER_AUTH, DJANGO, POCKETBASE } from './peers/kinds.ts'
import { ACCOUNTS, CONNECTIONS } from './real.ts'
import { writeRequests } from './requests.ts'
import type { Stage } from './stage.ts'
import { ROOT } from './stage.ts'
import type { Starter } from './startup.ts'
import { time } from './startup.ts'

/** One that runs, with accounts. */
export interface Peer {
  readonly name: string
  readonly about: string
  readonly loads: { readonly login: Load; readonly read: Load; readonly refresh?: Load }
  readonly starter: Starter
}

/** Where they run, and how many log in at once. */
interface Place {
  readonly cores: Cores
  readonly logins: number
}

/** Installs, starts and fills all of them. `skipped`: which ones not, and why. */
export async function preparePeers(
  stage: Stage,
  place: Place,
  say: (what: string) => void,
): Promise<{ peers: Peer[]; skipped: string[] }> {
  const [peers, skipped]: [Peer[], string[]] = [[], []]
  for (const kind of [BETTER_AUTH, POCKETBASE, DJANGO]) {
    say(`${kind.name} ${kind.version}: installing and starting it (the first time takes minutes)`)
    try {
      peers.push(await preparePeer(stage, place, kind))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      skipped.push(`${kind.name} ${kind.version}: ${reason.split('\n')[0]}`)
    }
  }
  return { peers, skipped }
}

async function preparePeer(stage: Stage, { cores, logins }: Place, kind: Kind): Promise<Peer> {
  const { name, version, about, healthPath } = kind
  const folder = join(ROOT, '.cache', 'peers', `${name}-${version}`)
  mkdirSync(folder, { recursive: true })
  await kind.install(folder)
  const program = async (data: string) => await kind.program(folder, stage.path(data))
  const server = await stage.start({ ...(await program(name)), cores: cores.server })
  const all: Requests[] = []
  while (all.length < ACCOUNTS)
    all.push(await kind.open(server.url, `kim-${all.length}@example.com`))

  const load = (part: keyof Requests, connections: number): Load => ({
    server,
    cores: cores.load,
    file: writeRequests(
      stage.path(`${name}-${part}.tsv`),
      all.flatMap((requests) => requests[part] ?? []),
    ),
    connections,
    counted: undefined,
  })
  const refresh = all[0]?.refresh && { refresh: load('refresh', CONNECTIONS.refresh) }
  return {
    name,
    about: `${version}; ${about}`,
    loads: {
      login: load('login', logins),
      read: load('read', CONNECTIONS.light),
      ...refresh,
    },
    starter: {
      name: `${name} start`,
      prime: async () => await (await stage.start(await program(`${name}-kept`))).stop(),
      time: async () => await time(stage, await program(`${name}-kept`), healthPath),
    },
  }
}
