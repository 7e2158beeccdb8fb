// Many writers at once through several replicas on one libSQL server. Each holds one session and refreshes it without a
// pause: every answer is one conditional write, and a session counts its own. Short in e2e/writers.test.ts, long in
// e2e/drills/writers.ts.

import { createClient } from '@libsql/client'
import { ask } from './ask.ts'
import type { Sqld } from './database.ts'
import { createLedger } from './ledger.ts'
import { quantile } from './quantile.ts'
import { startServer, UNTHROTTLED } from './server.ts'
import { until } from './until.ts'

/** What was found. */
export interface WritersReport {
  /** Answers that were successes, and how many of those each second. */
  readonly acknowledged: number
  readonly perSecond: number
  /** Answers that were refusals to come again, by code; `none` is a lost connection. */
  readonly refusals: Readonly<Record<string, number>>
  /** Writers whose session counts fewer refreshes than were acknowledged. */
  readonly lost: number
  /** Writers whose last token no longer works. */
  readonly broken: number
  /** The most seconds that any writer was without a success. */
  readonly longestWait: number
  /** How many milliseconds successes took. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Seconds from the server's new start until every writer had a success; absent if it was not killed. */
  readonly serviceBack?: number
}

/** How long, how many, and whether the server is killed at the end. */
export interface WritersOptions {
  readonly seconds: number
  readonly writers: number
  readonly replicas: number
  readonly kill: boolean
  readonly onSecond?: (second: number, acknowledged: number) => void
}

const REFRESH = 'mutation ($token: String!) { refresh(refreshToken: $token) { refreshToken } }'

/** One client with one session. */
interface Writer {
  token: string
  readonly sessionId: string
  successes: number
  lastSuccess: number
  longestWait: number
}

/** Writes for so long, and judges. */
export async function writeTogether(sqld: Sqld, options: WritersOptions): Promise<WritersReport> {
  const { seconds, kill, onSecond } = options
  const servers = await Promise.all(
    Array.from({ length: options.replicas }, () =>
      startServer({ mode: 'serve', database: sqld.url, env: UNTHROTTLED }),
    ),
  )
  const urls = servers.map(({ url }) => url)
  const writers = await signUpAll(urls, options.writers)
  const latencies: number[] = []
  const refusals: Record<string, number> = {}
  let going = true
  const begun = performance.now()
  for (const writer of writers) writer.lastSuccess = begun
  const clients = writers.map(async (writer, first) => {
    for (let turn = first; going; turn += 1) await write(writer, urls[turn % urls.length] ?? '')
  })
  for (let second = 1; second <= seconds; second += 1) {
    await Bun.sleep(1_000)
    onSecond?.(second, latencies.length)
  }
  const elapsed = (performance.now() - begun) / 1_000
  const acknowledged = latencies.length
  // A writer without a success since then is still waiting: on a server that takes nothing any more there is no next success.
  const now = performance.now()
  const waits = writers.map((writer) => Math.max(writer.longestWait, now - writer.lastSuccess))
  const longestWait = Math.max(...waits) / 1_000
  const latency = describe(latencies)
  const serviceBack = kill ? await killAndWait() : undefined
  going = false
  await Promise.all(clients)
  const generations = await generationsOf(sqld.url)
  const lost = writers.filter((w) => (generations.get(w.sessionId) ?? -1) < w.successes).length
  const broken = (
    await Promise.all(writers.map((w, i) => works(w, urls[i % urls.length] ?? '')))
  ).filter((good) => !good).length
  await Promise.all(servers.map((server) => server.stop()))
  return {
    ...{ acknowledged, perSecond: Math.round(acknowledged / elapsed), refusals, lost, broken },
    ...{ longestWait, latency, ...(serviceBack === undefined ? {} : { serviceBack }) },
  }

  /** A refusal, or no answer: the same token is good for another try, whether it was written or not. */
  async function write(writer: Writer, url: string): Promise<void> {
    const sent = performance.now()
    const answer = await ask(url, REFRESH, { variables: { token: writer.token } }).catch(() => null)
    const now = performance.now()
    const next = answer?.data?.refresh?.refreshToken
    if (next) {
      latencies.push(now - sent)
      writer.longestWait = Math.max(writer.longestWait, now - writer.lastSuccess)
      writer.token = next
      writer.successes += 1
      writer.lastSuccess = now
      return
    }
    const code = String(answer?.code ?? 'none')
    refusals[code] = (refusals[code] ?? 0) + 1
    // As `Retry-After` asks, only sooner.
    await Bun.sleep(100 * Math.random())
  }

  async function killAndWait(): Promise<number> {
    await sqld.kill()
    await until('writers are refused', () => (refusals['SERVICE_UNAVAILABLE'] ?? 0) > 0)
    const started = performance.now()
    await sqld.restart()
    await until(
      'every writer writes again',
      () => writers.every(({ lastSuccess }) => lastSuccess > started),
      60_000,
    )
    return (performance.now() - started) / 1_000
  }
}

async function signUpAll(urls: readonly string[], count: number): Promise<Writer[]> {
  const ledger = createLedger('writer')
  const writers: Writer[] = []
  while (writers.length < count) {
    const answer = await ledger.signUp(urls[writers.length % urls.length] ?? '')
    const tokens = answer?.data?.signup?.tokens
    if (!tokens) continue
    const [, payload = ''] = tokens.accessToken.split('.')
    const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const none = { successes: 0, lastSuccess: 0, longestWait: 0 }
    writers.push({ token: tokens.refreshToken, sessionId: sid, ...none })
  }
  return writers
}

async function works(writer: Writer, url: string): Promise<boolean> {
  const { data } = await ask(url, REFRESH, { variables: { token: writer.token } })
  return Boolean(data?.refresh)
}

async function generationsOf(url: string): Promise<Map<string, number>> {
  const client = createClient({ url })
  const { rows } = await client.execute('SELECT id, generation FROM sessions')
  client.close()
  return new Map(rows.map((row) => [String(row['id']), Number(row['generation'])]))
}

function describe(latencies: readonly number[]): WritersReport['latency'] {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(quantile(sorted, share) ?? 0)
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
