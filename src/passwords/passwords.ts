// Hashing and checking passwords, through one gate: a few at once, a bounded queue behind them.
// Beyond it `OVERLOADED`, within a moment: an unbounded queue of hashes would stall everything that shares the thread pool.

import { AuthError, ClientLeft } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createBeat } from '../platform/beat.ts'
import type { Clock } from '../platform/clock.ts'
import type { GateLimits, GateTerms } from '../platform/gate.ts'
import { createGate, GateFull, GateLeft } from '../platform/gate.ts'
import type { Random } from '../platform/random.ts'
import type { Attempt } from '../throttle/throttle.ts'
import { memoryOf, verifyHash } from './hash-format.ts'
import type { Hasher, PasswordHash } from './hasher.ts'
import { decoyOf, isCurrent } from './hasher.ts'
import type { Password } from './password.ts'

/** The one place where passwords are hashed. Every verb throws `OVERLOADED` when too many are waiting. */
export interface Passwords {
  /**
   * Asked before anything else is done for a hash: work for somebody who is refused in the end is missing for those who are let
   * in. No place is kept: `hash` and `check` may still refuse.
   */
  requireRoom(): Promise<void>
  /** The hash of a new password. An attempt is charged before, and may throw `RATE_LIMITED`. */
  hash(password: Password, terms?: Partial<Terms>): Promise<PasswordHash>
  /**
   * Whether a password is the one of a hash, of ours or imported. `find` charges the attempt and brings the hash; it is asked
   * only when there is room. False, in the time that a hash of today takes, where there is no hash, as for an e-mail that no
   * user has, and where it cannot be read or asks for too much. Throws `RATE_LIMITED`.
   */
  check(
    password: Password,
    find: () => Promise<PasswordHash | undefined>,
    terms: Terms,
  ): Promise<boolean>
  /** Whether a hash is what `hash` would make today; if not, it should be made anew while its password is known. */
  isCurrent(hash: PasswordHash): boolean
}

/** What a hash is computed for. */
export interface Terms {
  /** Refused from memory, or charged before the hash, and not when there is no room for it. */
  readonly attempt: Attempt
  /** Aborted when nobody waits for the result any more. */
  readonly signal: AbortSignal | undefined
}

/** What the service is made from. */
export interface PasswordsOptions {
  readonly hasher: Hasher
  readonly limits: GateLimits
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly report: Report
}

/**
 * Who is refused is told so together with all others of this while. Who comes back at once, and floods do, would else take from
 * those who are let in what they need; and many that come together cost half each.
 */
const REFUSED_EVERY_MS = 65

/** KiB that a hash may take as one of many. Those that take more, and more than is set, imported ones, go two at a time. */
const USUAL_KIB = 32 * 1_024
const LARGE_AT_ONCE = 2

/** Makes the service. */
export function createPasswords(options: PasswordsOptions): Passwords {
  const { hasher, limits, clock, random, metrics, report } = options
  const gate = createGate(limits, clock)
  const large = createGate({ ...limits, running: Math.min(LARGE_AT_ONCE, limits.running) }, clock)
  const { running } = gate
  const waiting = () => gate.waiting() + large.waiting()
  const refusing = createBeat(REFUSED_EVERY_MS)
  const decoy = decoyOf(hasher.cost, random)
  metrics.declareHashing(hasher.engine, { running, waiting })

  return {
    async requireRoom() {
      if (!gate.hasRoom()) await refuse()
    },

    hash: (password, { attempt, signal } = {}) =>
      gated({ attempt, signal, before: attempt && (() => attempt.charge()) }, () =>
        hasher.hash(password),
      ),

    async check(password, find, { attempt, signal }) {
      let hash = decoy
      const before = async () => {
        hash = (await find()) ?? decoy
      }
      const narrower = () => (isLarge(hash) ? large : null)
      return await gated({ attempt, signal, before, narrower }, () => verify(password, hash))
    },

    isCurrent: (hash) => isCurrent(hash, hasher.cost),
  }

  function isLarge(hash: PasswordHash): boolean {
    return memoryOf(hash) > Math.max(USUAL_KIB, hasher.cost.memoryKib)
  }

  /** What cannot be checked takes its time as well: time must not tell that there is a row. */
  async function verify(password: Password, hash: PasswordHash): Promise<boolean> {
    const matches = await verifyHash(hasher, password, hash)
    return matches ?? (await hasher.verify(password, decoy))
  }

  /** The order keeps floods off the disk: what is refused in memory, then what finds no room any more, then what is not paid for. */
  async function gated<T>(
    { attempt, ...terms }: GateTerms & { readonly attempt: Attempt | undefined },
    work: () => Promise<T>,
  ): Promise<T> {
    attempt?.recall()
    try {
      return await gate.run(() => timed(work), terms)
    } catch (error) {
      if (error instanceof GateLeft) throw new ClientLeft()
      if (error instanceof GateFull) return await refuse()
      throw error
    }
  }

  async function refuse(): Promise<never> {
    metrics.countHashRefused(hasher.engine)
    report({ type: 'hash.refused', running: running(), waiting: waiting() })
    await refusing.next()
    throw new AuthError('OVERLOADED', { retryAfter: 1 })
  }

  async function timed<T>(work: () => Promise<T>): Promise<T> {
    const started = clock.elapsed()
    try {
      return await work()
    } finally {
      metrics.observeHash((clock.elapsed() - started) / 1_000)
    }
  }
}
