// What happened that a security team wants to know: a closed union, and report(): one log line and one count each.
// An event names users by id; where there is no user, an e-mail appears only as a short keyed digest.

import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

interface Fields {
  'user.signed_up': { userId: string; clientAddress: string }
  'login.succeeded': { userId: string; sessionId: string; clientAddress: string }
  'login.failed': {
    reason: 'unknown_user' | 'wrong_password'
    userId?: string
    emailDigest?: string
    clientAddress: string
  }
  'login.already_logged_in': { userId: string; clientAddress: string }
  'hash.refused': { running: number; waiting: number }
}

/** The names of all security events. */
export const SECURITY_EVENTS = [
  'user.signed_up',
  'login.succeeded',
  'login.failed',
  'login.already_logged_in',
  'hash.refused',
] as const satisfies ReadonlyArray<keyof Fields>

/** One thing that happened. */
export type SecurityEvent = { [T in keyof Fields]: { type: T } & Fields[T] }[keyof Fields]

/** Tells the log and the metrics. Never throws, never waits. */
export type Report = (event: SecurityEvent) => void

/** The report that operators see. */
export function createReport(log: Log, metrics: Metrics): Report {
  return ({ type, ...fields }) => {
    metrics.countSecurityEvent(type)
    if (WORTH_A_WARNING.has(type)) log.warn(type, fields)
    else log.info(type, fields)
  }
}

const WORTH_A_WARNING: ReadonlySet<string> = new Set(['login.failed', 'hash.refused'])
