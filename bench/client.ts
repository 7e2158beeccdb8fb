// Load where wrk cannot make it, on the cores of the load: refresh tokens one after the other, requests that are due at
// given moments, and answers told apart. Bounded in time. Prints one line of JSON.

import { readFileSync, writeFileSync } from 'node:fs'
import type { RequestLine } from './requests.ts'
import { headersOf, operation, parseRequests } from './requests.ts'

/** What to do; the first argument, as JSON. */
export type Task =
  /** Each refresh token of a file is refreshed again and again. The last ones are written back. */
  | {
      readonly kind: 'refresh'
      readonly file: string
      readonly connections: number
      readonly seconds: number
    }
  /** Open loop: so many a second, whether or not earlier ones were answered, timed from when each was due. */
  | {
      readonly kind: 'open'
      readonly file: string
      readonly seconds: number
      readonly rate: number
    }
  /** Closed loop: so many always in flight, and at the end all are waited for. */
  | {
      readonly kind: 'closed'
      readonly file: string
      readonly seconds: number
      readonly connections: number
      /** Where {n} begins. */
      readonly first?: number
    }

/** What came of it. Times in ms, one for each request. */
export interface Outcome {
  readonly ms: number
  /** Of answers that gave what was asked for. */
  readonly good: readonly number[]
  /** Of answers that refused. */
  readonly refused: readonly number[]
  /** No answer, or none within the limit. */
  readonly failed: readonly number[]
}

const TIMEOUT_MS = 30_000
const REFRESH =
  'mutation Refresh($refreshToken: String!) { refresh(refreshToken: $refreshToken) { accessToken refreshToken } }'

if (import.meta.main) {
  const [url = '', task = '{}'] = process.argv.slice(2)
  if (!/^http:\/\/127\.0\.0\.1:\d+$/.test(url)) throw new Error('only for servers on this machine')
  console.log(JSON.stringify(await run(url, JSON.parse(task) as Task)))
}

async function run(url: string, task: Task): Promise<Outcome> {
  const outcome = { good: [] as number[], refused: [] as number[], failed: [] as number[] }
  const started = performance.now()
  if (task.kind === 'refresh') await refreshAll(url, task, outcome)
  else if (task.kind === 'open') await open(url, task, outcome)
  else await closed(url, task, outcome)
  return { ms: performance.now() - started, ...outcome }
}

type Lists = Record<'good' | 'refused' | 'failed', number[]>

/** A refusal leaves the token as it was: it is tried again. */
async function refreshAll(
  url: string,
  task: Extract<Task, { kind: 'refresh' }>,
  lists: Lists,
): Promise<void> {
  const tokens = readFileSync(task.file, 'utf8').trimEnd().split('\n')
  const deadline = performance.now() + task.seconds * 1_000
  const chain = async (_: unknown, i: number) => {
    while (performance.now() < deadline) {
      const begun = performance.now()
      const line = operation(REFRESH, { variables: { refreshToken: tokens[i] ?? '' } })
      const { text } = await ask(url, line)
      const [, next] = /"refreshToken":"([^"]+)"/.exec(text) ?? []
      const list = next === undefined ? lists.refused : lists.good
      list.push(since(begun))
      if (next !== undefined) tokens[i] = next
    }
  }
  await Promise.all(Array.from({ length: Math.min(task.connections, tokens.length) }, chain))
  writeFileSync(task.file, `${tokens.join('\n')}\n`, { mode: 0o600 })
}

async function open(
  url: string,
  { file, seconds, rate }: Extract<Task, { kind: 'open' }>,
  lists: Lists,
): Promise<void> {
  const next = inTurn(file)
  const started = performance.now()
  const pending: Promise<void>[] = []
  for (let n = 0; n < seconds * rate; n += 1) {
    const due = started + (n * 1_000) / rate
    const early = due - performance.now()
    if (early > 0.5) await Bun.sleep(early)
    // A sleep may end a moment early: nobody waits before they have asked.
    pending.push(one(url, next(), Math.min(due, performance.now()), lists))
  }
  await Promise.all(pending)
}

async function closed(
  url: string,
  { file, seconds, connections, first }: Extract<Task, { kind: 'closed' }>,
  lists: Lists,
): Promise<void> {
  const next = inTurn(file, first)
  const deadline = performance.now() + seconds * 1_000
  const visitor = async () => {
    while (performance.now() < deadline) await one(url, next(), performance.now(), lists)
  }
  await Promise.all(Array.from({ length: connections }, visitor))
}

/** Sends one and enters how long it took since it was due. */
async function one(url: string, line: RequestLine, due: number, lists: Lists): Promise<void> {
  try {
    const { ok, text } = await ask(url, line)
    // GraphQL refuses with a status of 200 too.
    const list = ok && !text.includes('"errors":[') ? lists.good : lists.refused
    list.push(since(due))
  } catch {
    lists.failed.push(since(due))
  }
}

async function ask(url: string, { method, path, header, body }: RequestLine) {
  const response = await fetch(url + path, {
    method,
    headers: headersOf(header),
    ...(body ? { body } : {}),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  return { ok: response.ok, text: await response.text() }
}

function inTurn(file: string, first = 0): () => RequestLine {
  const lines = parseRequests(readFileSync(file, 'utf8'))
  let turn = 0
  return () => {
    const line = lines[turn % lines.length]
    if (!line) throw new Error(`no request in ${file}`)
    turn += 1
    const { body } = line
    return body ? { ...line, body: body.replaceAll('{n}', String(first + turn)) } : line
  }
}

function since(moment: number): number {
  return Math.round((performance.now() - moment) * 100) / 100
}
