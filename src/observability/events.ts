// What happened that a security team wants to know: a closed union, and report(): one log line and one count each.
// An event names users by id; where there is no user, an e-mail appears only as a short keyed digest.

import type { Log } from './log.ts'

interface Fields {
  'user.signed_up': { userId: string; clientAddress: string }
  'login.succeeded': { userId: string; sessionId: string; clientAddress: string }
  'login.failed': {
    reason: 'unknown_user' | 'wrong_password' | 'disabled'
    userId?: string
    emailDigest?: string
    clientAddress: string
  }
  'login.already_logged_in': { userId: string; clientAddress: string }
  'session.refreshed': {
    userId: string
    sessionId: string
    repeated: boolean
    clientAddress: string
  }
  'session.reuse_detected': { userId: string; sessionId: string; generation: number }
  'session.ended': { userId: string; sessionId: string; reason: EndReason }
  'key.rotated': { stage: 'published' | 'retired' | 'dropped'; kid: string }
  'hash.refused': { running: number; waiting: number }
}

/** Why a session ended by decision. */
export const END_REASONS = [
  'logout',
  'logout_all',
  'ended',
  'reuse',
  'password_changed',
  'user_deleted',
  'user_disabled',
  'evicted',
] as const
export type EndReason = (typeof END_REASONS)[number]

/** The names of all security events. */
export const SECURITY_EVENTS = [
  'user.signed_up',
  'login.succeeded',
  'login.failed',
  'login.already_logged_in',
  'session.refreshed',
  'session.reuse_detected',
  'session.ended',
  'key.rotated',
  'hash.refused',
] as const satisfies ReadonlyArray<keyof Fields>

/** One thing that happened. */
export type SecurityEvent = { [T in keyof Fields]: { type: T } & Fields[T] }[keyof Fields]

/** Tells the log and the metrics. Never throws, never waits. */
export type Report = (event: SecurityEvent) => void

/** The report that operators see. */
export function createReport(
  log: Log,
  metrics: { countSecurityEvent(event: string): void },
): Report {
  return ({ type, ...fields }) => {
    metrics.countSecurityEvent(type)
    if (WORTH_A_WARNING.has(type)) log.warn(type, fields)
    else log.info(type, fields)
  }
}

const WORTH_A_WARNING: ReadonlySet<string> = new Set([
  'login.failed',
  'session.reuse_detected',
  'hash.refused',
])
