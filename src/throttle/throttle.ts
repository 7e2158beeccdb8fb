// Attempts at passwords and signups, counted in the database for all replicas. An attempt is charged before it is made, for
// users who do not exist too. What was refused is remembered here for a second: a flood does not reach the database.

import { createHmac } from 'node:crypto'
import { AuthError } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createRecent } from '../platform/recent.ts'
import type { Database } from '../storage/database.ts'
import { networkOf } from './address.ts'
import type { Rule, ThrottleConfig } from './rules.ts'
import { createRules } from './rules.ts'
import type { Charge, Pair } from './store.ts'
import {
  charge,
  countRows,
  forget,
  know,
  selectKnownUntil,
  selectRefusal,
  succeed,
  sweepExpired,
  sweepSmall,
} from './store.ts'

/** Who attempts: the canonical e-mail, whether a user has it or not, and the client's address. */
export interface Attempting {
  readonly emailKey: string | undefined
  readonly clientAddress: string
}

/** The rules about attempts. */
export interface Throttle {
  /** An attempt at a user's password. */
  password(who: Attempting): Attempt
  /** An attempt to become a user. */
  signup(who: Attempting): Attempt
  /** Charges an address for what is refused without an attempt: guesses by the dozen in one request. Never throws. */
  charge(clientAddress: string): Promise<void>
  /**
   * Forgets what was counted against a user, and where the user has logged in from: whoever knew the old password may
   * have been there. `keptAddress`: where the user is now.
   */
  forget(emailKey: string, keptAddress?: string): Promise<void>
  /** Deletes, a few at a time, what no longer counts, and the least of what does when there is too much. Never throws. */
  sweep(): Promise<void>
}

/** One attempt: first `recall`, then `charge`, and `succeed` if it was one. */
export interface Attempt {
  /** Throws `RATE_LIMITED` when this replica has just learned that it is too early. Asks nobody. */
  recall(): void
  /** Charges the attempt to all its rules, or to none. Throws `RATE_LIMITED`, `SERVICE_UNAVAILABLE`. */
  charge(): Promise<void>
  /** Begins the user's count anew, gives the address its charge back, and remembers the address as the user's. */
  succeed(): Promise<void>
}

/** What the service is made from. */
export interface ThrottleOptions {
  readonly database: Database
  readonly config: ThrottleConfig
  /** For the digests that stand in the database. */
  readonly key: Uint8Array
  /** For the log. */
  readonly emailDigest: (emailKey: string) => string
  readonly clock: Clock
  readonly metrics: Metrics
  readonly report: Report
}

/** No longer than another replica may know better. */
const RECALL_MS = 1_000
/** Refusals remembered: some megabytes at most. */
const RECALLED = 10_000
/** How long an address stays one of the user's after the last login from it. */
const KNOWN_MS = 90 * 86_400_000
/** An address that is used is remembered anew after so long. */
const RENEWED_MS = 3_600_000
/** Few at a time: other writes wait meanwhile. */
const SWEPT_ROWS = 500
const SWEPT_BATCHES = 100
/** Counts kept; beyond it those with the fewest attempts go. */
const MOST_ROWS = 100_000

interface Refusal {
  readonly rule: Rule
  /** Milliseconds since 1970. */
  readonly nextAt: number
  /** By the stopwatch. */
  readonly forgottenAt: number
}

/** Makes the service. */
export function createThrottle(options: ThrottleOptions): Throttle {
  const { database, clock, metrics, report, emailDigest } = options
  const rules = createRules(options.config)
  const refusals = createRecent<Refusal | null>(RECALLED)

  return {
    password(who) {
      const pair = pairOf(who)
      return attempt(who, [
        ...guess(rules.user, pair.user, { ...pair, known: false }),
        ...guess(rules.knownAddress, pair.user, { ...pair, known: true }),
        ...guess(rules.address, pair.address),
      ])
    },

    signup: (who) => attempt(who, guess(rules.signup, pairOf(who).address)),

    async charge(clientAddress) {
      const who = { emailKey: undefined, clientAddress }
      const { recall, charge } = attempt(who, guess(rules.address, pairOf(who).address))
      try {
        recall()
        await charge()
      } catch {
        // Reported where it happened. The request is refused in any case.
      }
    },

    async forget(emailKey, keptAddress) {
      const user = digest(emailKey)
      const kept = keptAddress === undefined ? undefined : digest(networkOf(keptAddress))
      await database.write((db) => forget(db, { user, keys: keysOf(user), kept }))
    },

    async sweep() {
      await sweepAll().catch(() => {})
    },
  }

  function attempt(who: Attempting, charges: readonly Charge[]): Attempt {
    return {
      recall() {
        for (const one of charges) {
          const refusal = refusals.get(placeOf(one, who))
          if (refusal && refusal.forgottenAt > clock.elapsed()) refuse(refusal, who)
        }
      },

      async charge() {
        if (charges.length === 0) return
        const now = clock.now()
        if (await database.write((db) => charge(db, charges, now))) return
        const held = await database.read((db) => selectRefusal(db, charges, now))
        const one = charges.find(({ key }) => key === held?.key)
        // Another attempt succeeded between the two statements: the next one is allowed.
        if (!held || !one) throw new AuthError('RATE_LIMITED', { retryAfter: 1 })
        const forgottenAt = clock.elapsed() + RECALL_MS
        const refusal = { rule: one.rule, nextAt: held.nextAt, forgottenAt }
        refusals.set(placeOf(one, who), refusal)
        refuse(refusal, who)
      },

      async succeed() {
        const paid = charges.find(({ rule }) => rule.name === 'address')
        if (!rules.user && !paid) return
        const refund = paid && { key: paid.key, interval: paid.rule.delay }
        const pair = pairOf(who)
        await database.write((db) => succeed(db, { clear: keysOf(pair.user), refund }))
        await rememberAddress(pair)
        for (const one of charges) refusals.set(placeOf(one, who), null)
      },
    }
  }

  /** Written only now and then: most logins come from where the last one came from. */
  async function rememberAddress(pair: Pair): Promise<void> {
    const until = clock.now() + KNOWN_MS
    const knownUntil = await database.read((db) => selectKnownUntil(db, pair))
    if (knownUntil < until - RENEWED_MS) await database.write((db) => know(db, pair, until))
  }

  function refuse({ rule, nextAt }: Refusal, { emailKey, clientAddress }: Attempting): never {
    const retryAfter = Math.max(1, Math.ceil((nextAt - clock.now()) / 1_000))
    metrics.countThrottleRefused(rule.name)
    report({
      type: 'throttle.refused',
      rule: rule.name,
      retryAfter,
      ...(emailKey === undefined ? {} : { emailDigest: emailDigest(emailKey) }),
      clientAddress,
    })
    throw new AuthError('RATE_LIMITED', { retryAfter })
  }

  function pairOf({ emailKey, clientAddress }: Attempting): Pair {
    return { user: digest(emailKey ?? ''), address: digest(networkOf(clientAddress)) }
  }

  /** 128 bits: no two meet by chance, and nobody without the key can make two meet. */
  function digest(text: string): string {
    return createHmac('sha256', options.key).update(text).digest('base64url').slice(0, 22)
  }

  async function sweepAll(): Promise<void> {
    const expired = { now: clock.now(), rows: SWEPT_ROWS }
    for (let batch = 0; batch < SWEPT_BATCHES; batch += 1)
      if ((await database.write((db) => sweepExpired(db, expired))) < SWEPT_ROWS) break
    // Those first that were tried once, in no order: what an attacker works on outlives what a flood leaves behind.
    for (let attempts = 1; attempts < Number.MAX_SAFE_INTEGER; ) {
      // Counted again each time: other replicas sweep too.
      const excess = (await database.read(countRows)) - MOST_ROWS
      if (excess <= 0) return
      const small = { attempts, rows: Math.min(SWEPT_ROWS, excess) }
      if ((await database.write((db) => sweepSmall(db, small))) === 0) attempts *= 2
    }
  }
}

function guess(rule: Rule | null, whom: string, onlyIf?: Charge['onlyIf']): Charge[] {
  return rule ? [{ rule, key: `${rule.name}:${whom}`, ...(onlyIf ? { onlyIf } : {}) }] : []
}

/** The counts that a right password ends. */
function keysOf(user: string): string[] {
  return (['user', 'known_address'] as const).map((rule) => `${rule}:${user}`)
}

/** Where a refusal is remembered: one that concerns a user, for this address only, since others may be known. */
function placeOf({ key, onlyIf }: Charge, { clientAddress }: Attempting): string {
  return onlyIf ? `${key} ${networkOf(clientAddress)}` : key
}
