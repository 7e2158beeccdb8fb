// Hashing and checking passwords, through one gate: a few at once, a bounded queue behind them.
// Beyond it `OVERLOADED`, within a moment: an unbounded queue of hashes would stall everything that shares the thread pool.

import { AuthError, ClientLeft } from '../errors.ts'
import type { Client } from '../graphql/context.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import { createBeat } from '../platform/beat.ts'
import type { Clock } from '../platform/clock.ts'
import type { GateLimits, GateTerms } from '../platform/gate.ts'
import { createGate, GateFull, GateLeft } from '../platform/gate.ts'
import type { Random } from '../platform/random.ts'
import type { Statement } from '../storage/statement.ts'
import { networkOf } from '../throttle/address.ts'
import type { Attempt } from '../throttle/throttle.ts'
import { memoryOf, verifyHash } from './hash-format.ts'
import type { Hasher, PasswordHash } from './hasher.ts'
import { decoyOf, isCurrent } from './hasher.ts'
import type { Password } from './password.ts'

/** The one place where passwords are hashed. Every verb throws `OVERLOADED` when too many are waiting. */
export interface Passwords {
  /**
   * Call it before doing anything else for a hash: work for a client that is refused in the end is taken from those that are
   * let in. It reserves nothing: `hash` and `check` may still refuse.
   */
  requireRoom(client: Client): Promise<void>
  /** The hash of a new password. An attempt, if given, is charged first, and may throw `RATE_LIMITED`. */
  hash(password: Password, terms?: Partial<Terms>): Promise<PasswordHash>
  /**
   * Finds a row on the trip that charges the attempt, and says whether a password is the one of its hash, ours or imported. Where
   * there is no row, as for an e-mail that no user has, or its hash cannot be read or asks for too much, nothing matches, after the
   * time that a hash of today takes. Throws `RATE_LIMITED`.
   */
  check<Row extends WithHash>(
    password: Password,
    find: Statement<Row>,
    terms: Terms,
  ): Promise<{ readonly row: Row | undefined; readonly matches: boolean }>
  /** Whether a hash has the kind and cost that `hash` gives it today; if not, it should be made anew while its password is known. */
  isCurrent(hash: PasswordHash): boolean
}

/** A row that holds the hash of a password. */
export interface WithHash {
  readonly passwordHash: PasswordHash
}

/** What a hash is computed for. */
export interface Terms {
  /** Recalled before anything else; charged before the hash is computed, and only if there is room for it. */
  readonly attempt: Attempt
  /** Who waits for the result, and leaves the line when its signal says so. */
  readonly client: Pick<Client, 'address' | 'signal'>
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
 * Whoever is refused for want of room is told so together with the others, once in this time. Floods come back as soon as they are
 * answered: so they take less from those who were let in, and requests that arrive together cost half as much each.
 */
const REFUSED_EVERY_MS = 65

/**
 * Imported hashes may need far more memory than ours. One that needs more than this many KiB, and more than the setting, is large:
 * as many at once as there are cores could use up the memory of the machine.
 */
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
    async requireRoom(client) {
      if (!gate.hasRoom(networkOf(client.address))) await refuse()
    },

    hash: (password, { attempt, client } = {}) =>
      gated({ attempt, ...placeOf(client), before: attempt && (() => attempt.charge()) }, () =>
        hasher.hash(password),
      ),

    async check<Row extends WithHash>(
      password: Password,
      find: Statement<Row>,
      { attempt, client }: Terms,
    ) {
      let row: Row | undefined
      const hash = () => row?.passwordHash ?? decoy
      const before = async () => {
        ;[row] = await attempt.charge(find)
      }
      const narrower = () => (isLarge(hash()) ? large : null)
      const terms = { attempt, ...placeOf(client), before, narrower }
      const matches = await gated(terms, () => verify(password, hash()))
      return { row, matches }
    },

    isCurrent: (hash) => isCurrent(hash, hasher.cost),
  }

  function isLarge(hash: PasswordHash): boolean {
    return memoryOf(hash) > Math.max(USUAL_KIB, hasher.cost.memoryKib)
  }

  /** A hash that cannot be checked takes as long as any other: the time must not tell that there is a row. */
  async function verify(password: Password, hash: PasswordHash): Promise<boolean> {
    const matches = await verifyHash(hasher, password, hash)
    return matches ?? (await hasher.verify(password, decoy))
  }

  /** The order keeps floods off the disk: refused first by the throttle's memory, then for want of room, then by the throttle's rows. */
  async function gated<T>(
    { attempt, ...terms }: GateTerms & { readonly attempt: Attempt | undefined },
    work: () => Promise<T>,
  ): Promise<T> {
    attempt?.recall()
    try {
      return await gate.run(() => timed(work), terms)
    } catch (error) {
      if (!(error instanceof GateFull || error instanceof GateLeft)) throw error
      // It may have had a place: neither a flood nor impatience must use up the attempts of who knows the password.
      await attempt?.withdraw()
      if (error instanceof GateLeft) throw new ClientLeft()
      return await refuse()
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

/** One network is one caller: whoever has many connections, or users, or addresses of one IPv6 network has one share of the places. */
function placeOf(client: Terms['client'] | undefined): GateTerms {
  return client ? { caller: networkOf(client.address), signal: client.signal } : {}
}
