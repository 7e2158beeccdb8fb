// `npm run status`: what the edge's console shows, as a table; with `--watch` again every second. Works for every edge of
// ours, in containers too: it reads http://127.0.0.1:8404 (or the port in EDGE_CONSOLE_PORT). Since when a replica is in
// its state is more than Envoy knows: `npm run up` tells, else only `--watch` sees it.

import type { ConsoleView, ReplicaState } from '../envoy/console.ts'
import { readConsole } from '../envoy/console.ts'
import { EdgeSettingFault } from '../envoy/render.ts'
import { consoleOf, createCompose, hasDocker } from './compose.ts'
import { fail } from './output.ts'
import { findControl, readPorts } from './stack.ts'

/** Remembers since when each replica has been in its state, from one look to the next. */
export interface Memory {
  /** To be called with each look, in order. */
  look(view: ConsoleView, now: Date): void
  /** Undefined when it was before the first look. */
  since(name: string): Date | undefined
}

/** Remembers nothing yet. */
export function createMemory(): Memory {
  const known = new Map<string, { state: ReplicaState; since: Date | undefined }>()
  return {
    look({ replicas }, now) {
      for (const { name, state } of replicas) {
        const before = known.get(name)
        if (before?.state !== state) known.set(name, { state, since: before && now })
      }
    },
    since: (name) => known.get(name)?.since,
  }
}

/** The time of day, local. */
export function clock(time: Date): string {
  return time.toTimeString().slice(0, 8)
}

/** As in `3d 4h`, `12m 5s`. */
export function lasting(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const
  const first = units.findIndex(([, size]) => seconds >= size)
  if (first < 0) return '0s'
  const parts = units.slice(first, first + 2).map(([unit, size], index) => {
    const rest = index === 0 ? seconds : seconds % (units[first]?.[1] ?? 1)
    return `${Math.floor(rest / size)}${unit}`
  })
  return parts.filter((part, index) => index === 0 || !part.startsWith('0')).join(' ')
}

/** The table, one line a replica, with its head. */
function statusTable(view: ConsoleView, since: (name: string) => string, paint: Paint): string[] {
  const head = ['replica', 'state', 'address', 'requests', 'errors', 'active', 'since']
  const rows = view.replicas.map(({ name, address, state, requests, errors, active }) => [
    ...[name, state, address],
    ...[requests, errors, active].map((count) => count.toLocaleString('en')),
    since(name),
  ])
  const [first = '', ...lines] = columns([head, ...rows], new Set([3, 4, 5]))
  return [paint('dim', first), ...lines.map((line, row) => paintState(line, rows[row]?.[1], paint))]
}

/** Colours the word for a state in a line of a table. */
export function paintState(line: string, state: string | undefined, paint: Paint): string {
  const colour = state && COLOURS[state]
  return colour ? line.replace(` ${state} `, ` ${paint(colour, state)} `) : line
}

const COLOURS: Readonly<Record<string, Colour>> = {
  up: 'green',
  running: 'green',
  new: 'yellow',
  left: 'yellow',
  starting: 'yellow',
  stopping: 'yellow',
  ejected: 'red',
  silent: 'red',
  down: 'red',
  ended: 'red',
}

/** Text in columns: `right` names those of numbers. */
export function columns(rows: readonly string[][], right: ReadonlySet<number>): string[] {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((row) => row[index]?.length ?? 0)),
  )
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0
        return right.has(index) ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('   ')
      .trimEnd(),
  )
}

export type Colour = 'dim' | 'bold' | 'red' | 'green' | 'yellow'
export type Paint = (colour: Colour, text: string) => string

const CODES: Readonly<Record<Colour, number>> = { dim: 2, bold: 1, red: 31, green: 32, yellow: 33 }

/** Colours, where a person looks who has not asked for none (https://no-color.org). */
export function painter(terminal: boolean): Paint {
  if (!terminal || process.env['NO_COLOR']) return (_, text) => text
  return (colour, text) => `\u001b[${CODES[colour]}m${text}\u001b[0m`
}

/** A block of lines that is written again in the same place. Without a terminal it is simply written each time. */
export function createScreen(out: NodeJS.WriteStream) {
  let height = 0
  return {
    /** Writes lines that stay, above the block. */
    say(lines: readonly string[]) {
      this.clear()
      out.write(lines.map((line) => `${line}\n`).join(''))
    },
    show(lines: readonly string[]) {
      this.clear()
      // A line that a narrow window wraps would take two, and the count would be wrong.
      const fitting = lines.slice(-(out.rows ?? 1_000) + 1).map((line) => cut(line, out.columns))
      out.write(fitting.map((line) => `${line}\n`).join(''))
      height = fitting.length
    },
    clear() {
      if (height > 0 && out.isTTY) out.write(`\u001b[${height}A\u001b[J`)
      height = 0
    },
  }
}

/** Cuts a line to so many columns; colours take none. */
function cut(line: string, width = 1_000): string {
  let [column, result] = [0, '']
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
  for (const piece of line.split(/(\u001b\[\d+m)/)) {
    if (piece.startsWith('\u001b')) result += piece
    else {
      result += piece.slice(0, Math.max(0, width - 1 - column))
      column += piece.length
    }
  }
  return result
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))

async function main(given: readonly string[]): Promise<number> {
  const unknown = given.filter((argument) => argument !== '--watch')
  if (unknown.length > 0) return fail('npm run status [-- --watch]', 64)
  try {
    const control = await findControl(readPorts(process.env).https)
    const look = createLook(await findConsole(control), control)
    return await (given.includes('--watch') ? watch(look) : once(look))
  } catch (error) {
    if (!(error instanceof EdgeSettingFault)) throw error
    return fail(error.message, 78)
  }
}

/** Where the console is: as was said; or where Compose, which reads `.env`, has published it; or at the default place. */
async function findConsole(control: string | null): Promise<string> {
  const url = `http://127.0.0.1:${readPorts(process.env).console}`
  if (process.env['EDGE_CONSOLE_PORT'] || control || !hasDocker()) return url
  return await consoleOf(createCompose()).catch(() => url)
}

/** What there is to show, or why there is nothing. */
type Look = () => Promise<{ lines: string[]; found: boolean }>

async function once(look: Look): Promise<number> {
  const { lines, found } = await look()
  if (!found) return fail(lines.join('\n'), 1)
  console.log(lines.join('\n'))
  return 0
}

async function watch(look: Look): Promise<never> {
  const screen = createScreen(process.stdout)
  // The reader has seen enough, such as `head`.
  process.stdout.once('error', () => process.exit(0))
  for (;;) {
    screen.show((await look()).lines)
    await Bun.sleep(1_000)
  }
}

function createLook(url: string, control: string | null): Look {
  const memory = createMemory()
  const paint = painter(process.stdout.isTTY === true)
  return async () => {
    const now = new Date()
    const [view, told] = await Promise.all([readConsole(url), askUp(control)])
    if (!view)
      return {
        found: false,
        lines: [`${clock(now)}  no edge answers at ${url}: npm run up, or set EDGE_CONSOLE_PORT`],
      }
    memory.look(view, now)
    const since = (name: string) =>
      told[name] ?? (memory.since(name) ? clock(memory.since(name) ?? now) : '–')
    const started = new Date(now.getTime() - view.edgeSeconds * 1_000)
    const counted = `counted since the edge started, ${clock(started)} (${lasting(view.edgeSeconds)} ago)`
    return {
      found: true,
      lines: [...statusTable(view, since, paint), paint('dim', `${clock(now)}  ${counted}`)],
    }
  }
}

async function askUp(unix: string | null): Promise<Readonly<Record<string, string>>> {
  if (!unix) return {}
  try {
    const response = await fetch('http://localhost/since', {
      unix,
      signal: AbortSignal.timeout(500),
    })
    return (await response.json()) as Record<string, string>
  } catch {
    return {}
  }
}
