// Hashing and checking passwords, through one gate: a few at once, a bounded queue behind them.
// Beyond it `OVERLOADED` at once: an unbounded queue of hashes would stall everything that shares the thread pool.

import { AuthError } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { GateLimits, GateTerms } from '../platform/gate.ts'
import { createGate, GateFull, GateLeft } from '../platform/gate.ts'
import type { Attempt } from '../throttle/throttle.ts'
import type { Hasher, PasswordHash } from './hasher.ts'
import type { Password } from './password.ts'

/** The one place where passwords are hashed. Every verb throws `OVERLOADED` when too many are waiting. */
export interface Passwords {
  /** The hash of a new password. An attempt is charged before, and may throw `RATE_LIMITED`. */
  hash(password: Password, terms?: Partial<Terms>): Promise<PasswordHash>
  /**
   * Whether a password is the one of a hash, which is looked for only when there is room and the attempt is paid for.
   * Without a hash, for e-mails that no user has, it takes as long and is false. Throws `RATE_LIMITED`.
   */
  check(
    password: Password,
    find: () => Promise<PasswordHash | undefined>,
    terms: Terms,
  ): Promise<boolean>
}

/** What a hash is computed for. */
export interface Terms {
  /** Charged before the hash, and not when there is no room for it. */
  readonly attempt: Attempt
  /** Aborted when nobody waits for the result any more. */
  readonly signal: AbortSignal | undefined
}

/** What the service is made from. */
export interface PasswordsOptions {
  readonly hasher: Hasher
  readonly limits: GateLimits
  readonly clock: Clock
  readonly metrics: Metrics
  readonly report: Report
}

/** Makes the service. */
export function createPasswords(options: PasswordsOptions): Passwords {
  const { hasher, limits, clock, metrics, report } = options
  const gate = createGate(limits, clock)
  const decoy = hasher.decoy()
  metrics.declareHashing(hasher.engine, gate)

  return {
    hash: (password, { attempt, signal } = {}) =>
      gated({ attempt, signal, before: attempt?.charge }, () => hasher.hash(password)),

    async check(password, find, { attempt, signal }) {
      let hash: PasswordHash | undefined
      const before = async () => {
        await attempt.charge()
        hash = await find()
      }
      const verify = () => hasher.verify(password, hash ?? decoy)
      return await gated({ attempt, signal, before }, verify)
    },
  }

  /** The order keeps floods off the disk: what is refused in memory, then what finds no room, then what is not paid for. */
  async function gated<T>(
    { attempt, ...terms }: GateTerms & { readonly attempt: Attempt | undefined },
    work: () => Promise<T>,
  ): Promise<T> {
    attempt?.recall()
    try {
      return await gate.run(() => timed(work), terms)
    } catch (error) {
      // Nobody reads the answer, and nothing was refused.
      if (error instanceof GateLeft) throw new AuthError('OVERLOADED', { retryAfter: 1 })
      if (!(error instanceof GateFull)) throw error
      metrics.countHashRefused(hasher.engine)
      report({ type: 'hash.refused', running: gate.running(), waiting: gate.waiting() })
      throw new AuthError('OVERLOADED', { retryAfter: 1 })
    }
  }

  async function timed<T>(work: () => Promise<T>): Promise<T> {
    const started = clock.elapsed()
    try {
      return await work()
    } finally {
      metrics.observeHash(hasher.engine, (clock.elapsed() - started) / 1_000)
    }
  }
}
