// The numbers of each rule. Two shapes: guesses at one user wait longer and longer and have an end (NIST SP 800-63B-4 §3.2.2: at
// most 100 in a row); those from one address may go on at a steady pace, since many people can share an address.

import type { Config } from '../config.ts'
import { reservedLimit } from '../config.ts'
import type { ThrottleRule } from '../observability/events.ts'

/** One rule. Times: milliseconds. */
export interface Rule {
  readonly name: ThrottleRule
  /** Attempts that are not delayed: the first delay comes with the last of them. */
  readonly free: number
  /** The first delay. Each further attempt doubles it, up to `ceiling`. */
  readonly delay: number
  readonly ceiling: number
  /** After this many attempts no more are allowed until they are forgotten. */
  readonly limit: number
  /** How long after the last attempt its count is forgotten. */
  readonly memory: number
  /** How far in the past the next attempt may be due: unused attempts add up to this much time. */
  readonly slack: number
}

/** The rules; one that is switched off is null. */
export interface Rules {
  /** Passwords tried for one user from anywhere. */
  readonly user: Rule | null
  /** The same from addresses that the user has logged in from: apart, so that a stranger cannot shut the user out. */
  readonly knownAddress: Rule | null
  /**
   * The same by who holds a valid token of the user, from anywhere: apart, so that no stranger keeps the user from changing the
   * password, and no thief of a token from logging in.
   */
  readonly reauthentication: Rule | null
  /** Passwords tried from one address. */
  readonly address: Rule | null
  /** Signups from one address. */
  readonly signup: Rule | null
}

/** The settings that rules are made from. */
export type ThrottleConfig = Pick<Config, Extract<keyof Config, `throttle${string}`>>

/** Makes the rules. */
export function createRules(config: ThrottleConfig): Rules {
  const reserved = reservedLimit(config.throttleUserLimit)
  return {
    user: growing('user', config, config.throttleUserLimit - 2 * reserved),
    knownAddress: growing('known_address', config, reserved),
    // To who watches, a client of the user's own, as at a known address.
    reauthentication: growing('known_address', config, reserved),
    address: steady('address', config.throttleAddressAttempts, config.throttleAddressInterval),
    signup: steady('signup', config.throttleSignupAttempts, config.throttleSignupInterval),
  }
}

function growing(name: ThrottleRule, config: ThrottleConfig, limit: number): Rule | null {
  if (config.throttleUserAttempts === 0) return null
  return {
    name,
    free: config.throttleUserAttempts,
    delay: config.throttleUserDelay * 1_000,
    ceiling: config.throttleUserMaxDelay * 1_000,
    limit,
    memory: config.throttleUserMemory * 1_000,
    slack: 0,
  }
}

/** `attempts` at once, then one each interval (GCRA). */
function steady(name: ThrottleRule, attempts: number, seconds: number): Rule | null {
  if (attempts === 0) return null
  const interval = seconds * 1_000
  return {
    name,
    free: 0,
    delay: interval,
    ceiling: interval,
    limit: Number.MAX_SAFE_INTEGER,
    memory: 0,
    slack: (attempts - 1) * interval,
  }
}
