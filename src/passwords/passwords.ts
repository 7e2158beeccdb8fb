// Hashing and checking passwords, through one gate: as many at once as there are cores, a bounded queue behind them.
// Beyond it `OVERLOADED` at once: an unbounded queue of hashes would stall everything that shares the thread pool.

import { AuthError } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { GateLimits } from '../platform/gate.ts'
import { createGate, GateFull } from '../platform/gate.ts'
import type { Random } from '../platform/random.ts'
import { verifyHash } from './hash-format.ts'
import type { Hasher, PasswordHash } from './hasher.ts'
import { decoyOf, isCurrent } from './hasher.ts'
import type { Password } from './password.ts'

/** The one place where passwords are hashed. Every verb throws `OVERLOADED` when too many are waiting. */
export interface Passwords {
  hash(password: Password): Promise<PasswordHash>
  /** Imported hashes too. False for one that cannot be read, or asks for too much. */
  verify(password: Password, hash: PasswordHash): Promise<boolean>
  /** Takes as long as `verify` and is false: for e-mails that no user has, so that time does not tell. */
  verifyNobody(password: Password): Promise<false>
  /** Whether a hash is what `hash` would make today; if not, it should be made anew while its password is known. */
  isCurrent(hash: PasswordHash): boolean
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

/** Makes the service. */
export function createPasswords(options: PasswordsOptions): Passwords {
  const { hasher, limits, clock, random, metrics, report } = options
  const gate = createGate(limits, clock)
  const decoy = decoyOf(hasher.cost, random)
  metrics.declareHashing(hasher.engine, gate)

  return {
    hash: (password) => gated(() => hasher.hash(password)),
    // One that cannot be read takes as long as for nobody: time must not tell that there is a row.
    verify: (password, hash) =>
      gated(
        async () =>
          (await verifyHash(hasher, password, hash)) ?? (await hasher.verify(password, decoy)),
      ),
    isCurrent: (hash) => isCurrent(hash, hasher.cost),
    async verifyNobody(password) {
      await gated(() => hasher.verify(password, decoy))
      return false
    },
  }

  async function gated<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await gate.run(() => timed(work))
    } catch (error) {
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
