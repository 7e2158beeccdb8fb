// Asking whether a password is known from a breach, by k-anonymity (the range protocol of Pwned Passwords): only five digits
// of its SHA-1 leave, and padding hides how many answers there were. Without an answer in time, a password is judged without one.

import { createHash } from 'node:crypto'
import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createGate, GateFull } from '../platform/gate.ts'
import { systemCode } from '../platform/system-error.ts'
import type { Password } from './password.ts'

/** True if the password is known from a breach; false if it is not, and also if nobody could say. */
export type BreachCheck = (password: Password) => Promise<boolean>

/** Where to ask, and whom to tell when there was no answer. */
export interface BreachCheckOptions {
  /** The range is appended: `<url>/21BD1`. */
  readonly url: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

const DEADLINE_MS = 1_000
/** A flood of signups must not become a flood of questions: beyond these the shipped list has to do. */
const AT_ONCE = { running: 20, waiting: 0, patience: 0 }
const PREFIX_DIGITS = 5
/** A padded answer has about 40 KB. */
const MAX_ANSWER_BYTES = 512 * 1024
/** The rest of a SHA-1, and how often it was found; padding is found 0 times. */
const LINE = /^[0-9A-F]{35}:\d{1,12}$/

/** Makes the check. It never throws: the shipped list has been asked before. */
export function createBreachCheck(options: BreachCheckOptions): BreachCheck {
  const { url, clock, log, metrics } = options
  const gate = createGate(AT_ONCE, clock)
  return async (password) => {
    const digest = createHash('sha1').update(password).digest('hex').toUpperCase()
    try {
      const found = await gate.run(() => ask(url, digest))
      metrics.countBreachCheck(found ? 'breached' : 'clean')
      return found
    } catch (error) {
      metrics.countBreachCheck('failed')
      // Only what kind of error: a message may hold the URL, and the URL holds a part of the digest.
      log.warn('breach_check.failed', { reason: reasonOf(error) })
      return false
    }
  }
}

class BadAnswer extends Error {}

async function ask(url: string, digest: string): Promise<boolean> {
  const [prefix, rest] = [digest.slice(0, PREFIX_DIGITS), digest.slice(PREFIX_DIGITS)]
  const response = await fetch(`${url}/${prefix}`, {
    headers: { 'add-padding': 'true', 'user-agent': 'munjigi' },
    redirect: 'error',
    signal: AbortSignal.timeout(DEADLINE_MS),
  })
  if (response.status !== 200) throw new BadAnswer(`status ${response.status}`)
  const lines = (await readText(response)).split(/\r?\n/).filter((line) => line !== '')
  // An answer is never empty. A page of somebody's proxy must not pass for "not found".
  if (lines.length === 0 || !lines.every((line) => LINE.test(line)))
    throw new BadAnswer('not a range')
  return lines.some((line) => line.startsWith(`${rest}:`) && !/:0+$/.test(line))
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER_BYTES) throw new BadAnswer('too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function reasonOf(error: unknown): string {
  if (error instanceof BadAnswer) return error.message
  if (error instanceof GateFull) return 'too many at once'
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time'
  return systemCode(error) ?? 'unreachable'
}
