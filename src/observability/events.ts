// What happened that a security team wants to know: a closed union, and report(): one log line and one count each.
// An event names users by id; where there is no user, an e-mail appears only as a short keyed digest.

import type { Log } from './log.ts'

interface Fields {
  'user.signed_up': { userId: string; clientAddress: string }
  'login.succeeded': { userId: string; sessionId: string; clientAddress: string }
  'login.failed': {
    reason: 'unknown_user' | 'wrong_password' | 'disabled' | 'malformed'
    userId?: string
    emailDigest?: string
    clientAddress: string
  }
  'login.already_logged_in': { userId: string; clientAddress: string }
  /** Somebody with a valid access token gave a wrong password, or may not log in any more. */
  'reauthentication.failed': { userId: string; sessionId: string; clientAddress: string }
  'session.refreshed': {
    userId: string
    sessionId: string
    repeated: boolean
    clientAddress: string
  }
  'session.reuse_detected': {
    userId: string
    sessionId: string
    generation: number
    /** Where the used token came from: the thief, or the user whom the thief was faster than. */
    clientAddress: string
  }
  'session.ended': { userId: string; sessionId: string; reason: EndReason }
  'key.rotated': { stage: 'published' | 'retired' | 'dropped'; kid: string }
  /** A key in the database that does not open, or whose algorithm this version does not know. */
  'key.refused': { kid: string }
  'hash.refused': { running: number; waiting: number }
  'throttle.refused': {
    rule: ThrottleRule
    /** Seconds. */
    retryAfter: number
    emailDigest?: string
    clientAddress: string
  }
}

/** The rules that refuse attempts. */
export const THROTTLE_RULES = ['user', 'known_address', 'address', 'signup'] as const
export type ThrottleRule = (typeof THROTTLE_RULES)[number]

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

/** Every event, and the level it is logged at. */
const LEVELS: Record<keyof Fields, 'info' | 'warn'> = {
  'user.signed_up': 'info',
  'login.succeeded': 'info',
  'login.failed': 'warn',
  'login.already_logged_in': 'info',
  'reauthentication.failed': 'warn',
  'session.refreshed': 'info',
  'session.reuse_detected': 'warn',
  'session.ended': 'info',
  'key.rotated': 'info',
  'key.refused': 'warn',
  'hash.refused': 'warn',
  'throttle.refused': 'warn',
}

/** The names of all security events. */
export const SECURITY_EVENTS: readonly string[] = Object.keys(LEVELS)

/** One thing that happened. */
export type SecurityEvent = { [T in keyof Fields]: { type: T } & Fields[T] }[keyof Fields]

/** Tells the log and the metrics. */
export type Report = (event: SecurityEvent) => void

/** The report that operators see. */
export function createReport(
  log: Log,
  metrics: { countSecurityEvent(event: string): void },
): Report {
  return ({ type, ...fields }) => {
    metrics.countSecurityEvent(type)
    log[LEVELS[type]](type, fields)
  }
}
