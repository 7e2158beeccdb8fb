// `npm run logs`: follows what the replicas and the edge write, in a running `npm run up` or else in Compose, readable.
// `--request`, `--user` and `--event` show only the lines of one request, one user or one event (its beginning is enough).

import { EdgeSettingFault } from '../envoy/render.ts'
import { write } from '../src/cli/output.ts'
import { systemCode } from '../src/platform/system-error.ts'
import { findCompose } from './compose.ts'
import { fail, readLines } from './output.ts'
import { findControl, readPorts } from './stack.ts'
import type { Paint } from './status.ts'
import { painter } from './status.ts'

/** Which lines are wanted; without anything, all. */
export interface Wanted {
  readonly request?: string
  readonly user?: string
  readonly event?: string
}

type Entry = Readonly<Record<string, unknown>>

const USAGE = 'npm run logs [-- --request <id>] [--user <id>] [--event <name>]'

/** The fields that every line has, in fixed places; the others follow, with their names. */
const SHOWN = ['time', 'level', 'event', 'type', 'requestId', 'request_id']

/** A line for people, or null if it is not wanted. A line that is not JSON is shown as it is, unless a filter is set. */
export function readable(line: string, wanted: Wanted, paint: Paint): string | null {
  const entry = parse(line)
  if (!entry) return Object.keys(wanted).length === 0 && line.trim() !== '' ? line : null
  const request = text(entry['requestId'] ?? entry['request_id'])
  const event = text(entry['event'] ?? entry['type'] ?? 'edge')
  if (wanted.request && request !== wanted.request) return null
  if (wanted.user && text(entry['userId'] ?? entry['user']) !== wanted.user) return null
  if (wanted.event && !event.startsWith(wanted.event)) return null
  const level = text(entry['level'])
  const rest = Object.entries(entry)
    .filter(([name, value]) => !SHOWN.includes(name) && value !== null && value !== '')
    .map(([name, value]) => `${paint('dim', `${name}=`)}${printable(text(value))}`)
  const color = /^(error|fatal|critical)/.test(level) ? 'red' : 'bold'
  const head = [
    paint('dim', text(entry['time']).slice(11, 23)),
    paint(color, printable(event).padEnd(22)),
  ]
  return [...head, ...rest, ...(request ? [paint('dim', printable(request))] : [])].join(' ')
}

function parse(line: string): Entry | null {
  const start = line.indexOf('{')
  if (start < 0) return null
  try {
    return JSON.parse(line.slice(start)) as Entry
  } catch {
    return null
  }
}

function text(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** JSON has escaped what a client sent; the terminal must not obey it. */
function printable(value: string): string {
  return value.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}]/gu, '�')
}

if (import.meta.main) process.exitCode = await run(process.argv.slice(2))

async function run(given: readonly string[]): Promise<number> {
  const wanted = readArguments(given)
  if (!wanted) return fail(USAGE, given.includes('--help') ? 0 : 64)
  const paint = painter(process.stdout.isTTY === true)
  try {
    const source = await findSource()
    if (!source) return fail('No logs: neither npm run up nor docker compose is here.', 69)
    await readLines(source.lines, async (line) => {
      const shown = readable(line, wanted, paint)
      // What Compose would still say is for nobody.
      if (shown !== null && !(await write(`${shown}\n`))) process.exit(0)
    })
    return await source.ended
  } catch (error) {
    if (error instanceof EdgeSettingFault) return fail(error.message, 78)
    if (systemCode(error) === 'ECONNRESET') return fail('npm run up has ended.', 0)
    throw error
  }
}

function readArguments(given: readonly string[]): Wanted | null {
  const wanted: { request?: string; user?: string; event?: string } = {}
  for (let at = 0; at < given.length; at += 2) {
    const [name, value] = [given[at], given[at + 1]]
    if (!value) return null
    if (name === '--request') wanted.request = value
    else if (name === '--user') wanted.user = value
    else if (name === '--event') wanted.event = value
    else return null
  }
  return wanted
}

/** Where lines come from, and the exit code when there are no more. */
interface Source {
  readonly lines: ReadableStream<Uint8Array>
  readonly ended: number | Promise<number>
}

async function findSource(): Promise<Source | null> {
  const unix = await findControl(readPorts(process.env).https)
  if (unix) {
    const { body } = await fetch('http://localhost/logs', { unix, timeout: false })
    return body && { lines: body, ended: 0 }
  }
  const compose = findCompose()
  if (!compose) return null
  const follow = ['logs', '--follow', '--no-color', '--tail', '200', 'munjigi', 'envoy']
  const { stdout, exited } = Bun.spawn([...compose, ...follow], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  return { lines: stdout, ended: exited }
}
