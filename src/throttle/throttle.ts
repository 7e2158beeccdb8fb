// Attempts at passwords and signups, counted in the database for all replicas. An attempt is charged before it is made, for
// users who do not exist too. refusals.ts remembers and tells what was refused; sweep.ts keeps the tables small.

import { createHmac } from 'node:crypto'
import { AuthError } from '../errors.ts'
import type { Database } from '../storage/database.ts'
import type { Statement, WrittenWith } from '../storage/statement.ts'
import { readRows } from '../storage/statement.ts'
import { networkOf } from './address.ts'
import type { Payer, RefusalsOptions } from './refusals.ts'
import { createRefusals } from './refusals.ts'
import type { Rule, ThrottleConfig } from './rules.ts'
import { createRules } from './rules.ts'
import type { Charge, Charged, Pair, UserKeys } from './store.ts'
import {
  createAttemptStatements,
  forgetStatements,
  successStatements,
  withdrawing,
} from './store.ts'
import { sweepThrottles } from './sweep.ts'

/** Who attempts: the canonical e-mail, whether a user has it or not, and the client's address. */
export interface Attempting {
  readonly emailKey: string
  readonly clientAddress: string
}

/** The rules about attempts. */
export interface Throttle {
  /** An attempt at a user's password. */
  password(who: Attempting): Attempt
  /** The same by who holds a valid access token of the user: counted apart. */
  reauthentication(who: Attempting): Attempt
  /** An attempt to become a user. */
  signup(who: Attempting): Attempt
  /** Charges an address for what is refused without an attempt: guesses by the dozen in one request. Never throws. */
  charge(clientAddress: string): Promise<void>
  /**
   * With a change of password, or the end of a user: forgets what was counted against them, and where they have logged in
   * from, for whoever knew the old password may have been there. `keptAddress`: where the user is now.
   */
  forgetting(emailKey: string, keptAddress?: string): WrittenWith
  /** Deletes, a few at a time, what expired, and the counts with the fewest attempts when there are too many. Never throws. */
  sweep(): Promise<void>
}

/** One attempt: first `recall`, then `charge`, and `succeed` if it succeeded, or `withdraw` if it was not made. */
export interface Attempt {
  /** Throws `RATE_LIMITED` when this replica has just learned that it is too early. Does not ask the database. */
  recall(): void
  /**
   * Charges the attempt to all its rules, or to none. `find` is executed on the same trip to the database; returns its rows.
   * Throws `RATE_LIMITED`, `SERVICE_UNAVAILABLE`.
   */
  charge<Row>(find?: Statement<Row>): Promise<readonly Row[]>
  /**
   * To be written with what the success leads to: the user's counts begin anew and the address gets its charge back, whether or
   * not that takes effect; if it does, the address is remembered as the user's. May be no statements at all.
   */
  succeed(): WrittenWith
  /**
   * Of an attempt that was charged, but is refused before any password is looked at: gives it back to the user, who may have known
   * the password. The address has paid: it could cost others writes without end. Never throws.
   */
  withdraw(): Promise<void>
}

/** What the service is made from. */
export interface ThrottleOptions extends RefusalsOptions {
  readonly database: Database
  readonly config: ThrottleConfig
  /** For the digests that stand in the database. */
  readonly key: Uint8Array
}

/** How long an address stays one of the user's after the last login from it. */
const KNOWN_MS = 90 * 86_400_000
/** An address in use is remembered anew after this long. */
const RENEWED_MS = 3_600_000
/** Equal to no digest. */
const NOBODY = ''

/** Makes the service. */
export function createThrottle(options: ThrottleOptions): Throttle {
  const { database, clock } = options
  const rules = createRules(options.config)
  const refusals = createRefusals(options)
  const statementsOn = createAttemptStatements()

  return {
    password(who) {
      const pair = pairOf(who)
      const keys = keysOf(pair.user)
      return attemptOf(who, pair, [
        ...chargesBy(rules.user, keys.user, { known: false }),
        ...chargesBy(rules.knownAddress, keys.knownAddress, { known: true }),
        ...chargesBy(rules.address, keyOf('address', pair.address)),
      ])
    },

    reauthentication(who) {
      const pair = pairOf(who)
      return attemptOf(who, pair, [
        ...chargesBy(rules.reauthentication, keysOf(pair.user).reauthentication),
        ...chargesBy(rules.address, keyOf('address', pair.address)),
      ])
    },

    signup(who) {
      const pair = pairOf(who)
      return attemptOf(who, pair, chargesBy(rules.signup, keyOf('signup', pair.address)))
    },

    async charge(clientAddress) {
      const pair = { user: NOBODY, address: digest(networkOf(clientAddress)) }
      const charges = chargesBy(rules.address, keyOf('address', pair.address))
      if (charges.length === 0) return
      try {
        refusals.recall(charges, { clientAddress })
        await pay({ clientAddress }, { pair, charges })
      } catch {
        // Reported where it happened. The request is refused in any case.
      }
    },

    forgetting(emailKey, keptAddress) {
      const user = digest(emailKey)
      const kept = keptAddress === undefined ? undefined : digest(networkOf(keptAddress))
      return (onlyIf) => forgetStatements({ user, keys: keysOf(user), kept, onlyIf })
    },

    async sweep() {
      await sweepThrottles(database, clock).catch(() => {})
    },
  }

  function attemptOf(who: Attempting, pair: Pair, charges: readonly Charge[]): Attempt {
    let knownUntil = 0
    let chargedAt: number | undefined
    return {
      recall: () => refusals.recall(charges, who),

      async charge(find) {
        if (charges.length === 0) return find ? await database.read((db) => readRows(db, find)) : []
        const paid = await pay(who, { pair, charges, find })
        knownUntil = paid.knownUntil
        chargedAt = paid.at
        return paid.found
      },

      succeed() {
        const steady = charges.find(({ rule }) => rule.name === 'address')
        const refund = steady && { key: steady.key, interval: steady.rule.delay }
        const until = clock.now() + KNOWN_MS
        // Written only now and then: most logins come from where the last one came from.
        const isNews = knownUntil < until - RENEWED_MS
        const isCounted = rules.user !== null || steady !== undefined
        return (onlyIf) => {
          if (!isCounted) return []
          const known = isNews ? { ...pair, until, onlyIf } : undefined
          return successStatements({ clear: keysOf(pair.user), refund, known })
        }
      },

      async withdraw() {
        if (chargedAt === undefined) return
        const isKnown = knownUntil > chargedAt
        const charge = charges.find(
          ({ rule, onlyIf }) => isOfUser(rule) && (onlyIf?.known ?? isKnown) === isKnown,
        )
        if (charge) await database.commit([withdrawing(charge.key, clock.now())]).catch(() => {})
      },
    }
  }

  async function pay<Row>(
    who: Payer,
    {
      pair,
      charges,
      find,
    }: { pair: Pair; charges: readonly Charge[]; find?: Statement<Row> | undefined },
  ): Promise<Charged & { readonly found: readonly Row[]; readonly at: number }> {
    const judged = { ...pair, now: clock.now() }
    const statements = statementsOn(charges)
    const charge = statements.charge(judged)
    const [paid, ...others] = await database.commit(find ? [charge, find] : [charge])
    const [charged] = paid.rows
    if (charged) return { ...charged, found: others.flatMap(({ rows }) => rows), at: judged.now }
    const [held] = await database.read((db) => readRows(db, statements.hindrance(judged)))
    const refused = charges.find(({ key }) => key === held?.key)
    if (held && refused) refusals.refuse(refused, held.nextAt, who)
    // Another attempt succeeded between the two statements: the next one is allowed.
    throw new AuthError('RATE_LIMITED', { retryAfter: 1 })
  }

  function isOfUser(rule: Rule): boolean {
    return [rules.user, rules.knownAddress, rules.reauthentication].includes(rule)
  }

  function pairOf({ emailKey, clientAddress }: Attempting): Pair {
    return { user: digest(emailKey), address: digest(networkOf(clientAddress)) }
  }

  /** 132 bits: no two meet by chance, and nobody without the key can make two meet. */
  function digest(text: string): string {
    return createHmac('sha256', options.key).update(text).digest('base64url').slice(0, 22)
  }
}

function chargesBy(rule: Rule | null, key: string, onlyIf?: Charge['onlyIf']): Charge[] {
  return rule ? [{ rule, key, ...(onlyIf ? { onlyIf } : {}) }] : []
}

/** The counts that a right password ends. */
function keysOf(user: string): UserKeys {
  return {
    user: keyOf('user', user),
    knownAddress: keyOf('known_address', user),
    reauthentication: keyOf('reauthentication', user),
  }
}

function keyOf(what: Rule['name'] | 'reauthentication', whom: string): string {
  return `${what}:${whom}`
}
