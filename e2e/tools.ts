// `npm run tools`: the programs that the stack needs beside Bun – Envoy, sqld, openssl – found or fetched once, and shown.
// Where one does not exist for a machine, it says what to do.

import { findSqld } from './database.ts'
import { ENVOY_VERSION, envoyBinary } from './envoy.ts'
import { requires } from './requirement.ts'

/** Paths of the programs. */
export interface Tools {
  readonly envoy: string
  readonly sqld: string
  readonly openssl: string
}

/** What is missing, and what to do about it, one line each. */
export class ToolsMissing extends Error {
  override readonly name = 'ToolsMissing'
}

/** Finds all programs, and fetches Envoy if need be. Throws `ToolsMissing` that names every one that cannot be had. */
export async function findTools(): Promise<Tools> {
  const missing: string[] = []
  const found = async (program: string, find: () => string | null | Promise<string>) => {
    try {
      const path = await find()
      if (path) return path
    } catch (error) {
      missing.push(error instanceof Error ? error.message : String(error))
    }
    missing.push(`${program}: ${HELP[program]}`)
    return ''
  }
  const tools = {
    envoy: await found('envoy', envoyBinary),
    sqld: await found('sqld', findSqld),
    openssl: await found('openssl', () => Bun.which('openssl')),
  }
  if (missing.length > 0) throw new ToolsMissing(missing.join('\n'))
  return tools
}

const HELP: Readonly<Record<string, string>> = {
  envoy: 'set ENVOY to the path of an Envoy 1.40, or use docker compose',
  sqld: 'set SQLD to the path of a sqld 0.24, or use docker compose',
  openssl: 'install openssl with your package manager',
}

/** Whether a test of the stack can run here. Tells the suite if not; throws under CI. */
export async function canRunStack(): Promise<boolean> {
  const found = await findTools().catch(() => null)
  return requires(`Envoy ${ENVOY_VERSION}, sqld 0.24 and openssl (npm run tools)`, found !== null)
}

/** What a program says of its version. */
function versionOf(path: string): string {
  const { stdout, stderr } = Bun.spawnSync([
    path,
    path.endsWith('openssl') ? 'version' : '--version',
  ])
  return (stdout.toString() || stderr.toString()).trim().replaceAll(path, '').replace(/\s+/g, ' ')
}

if (import.meta.main) {
  try {
    for (const [name, path] of Object.entries(await findTools()))
      console.log(`${name.padEnd(8)} ${path}\n${' '.repeat(9)}${versionOf(path)}`)
  } catch (error) {
    if (!(error instanceof ToolsMissing)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
