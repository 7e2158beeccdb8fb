// What was refused: told to the client, the log and the metrics, and remembered for a second, so that a flood of the same
// does not reach the database.

import { AuthError } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import { createRecent } from '../platform/recent.ts'
import { networkOf } from './address.ts'
import type { Charge } from './store.ts'

/** Who is charged; without `emailKey` where only an address is. */
export interface Payer {
  readonly emailKey?: string
  readonly clientAddress: string
}

/** The refusals of this replica. */
export interface Refusals {
  /** Throws `RATE_LIMITED` if one of these charges was refused within the last second. */
  recall(charges: readonly Charge[], who: Payer): void
  /** Remembers that a charge is refused until a moment (milliseconds since 1970), and throws `RATE_LIMITED`. */
  refuse(charge: Charge, nextAt: number, who: Payer): never
}

/** What it is made from. */
export interface RefusalsOptions {
  readonly emailDigest: (emailKey: string) => string
  readonly clock: Clock
  readonly metrics: Metrics
  readonly report: Report
}

/** Short: by then another replica may have seen the right password, which begins the count anew. */
const RECALL_MS = 1_000
/** Refusals remembered: some megabytes at most. */
const RECALLED = 10_000

/** Makes an empty memory. */
export function createRefusals({ emailDigest, clock, metrics, report }: RefusalsOptions): Refusals {
  const known = createRecent<{ nextAt: number; forgottenAt: number }>(RECALLED)

  return {
    recall(charges, who) {
      for (const charge of charges) {
        const refusal = known.get(placeOf(charge, who))
        if (refusal && refusal.forgottenAt > clock.elapsed()) tell(charge, refusal.nextAt, who)
      }
    },

    refuse(charge, nextAt, who) {
      const forgottenAt = clock.elapsed() + Math.min(RECALL_MS, nextAt - clock.now())
      known.set(placeOf(charge, who), { nextAt, forgottenAt })
      return tell(charge, nextAt, who)
    },
  }

  function tell({ rule }: Charge, nextAt: number, { emailKey, clientAddress }: Payer): never {
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
}

/** Even a user's refusal holds for this address only: another one may be known, and has a count of its own. */
function placeOf({ key }: Charge, { clientAddress }: Payer): string {
  return `${key} ${networkOf(clientAddress)}`
}
