// What the flows work with: the services of the features, and the ways to tell what happened.

import type { Config } from '../config.ts'
import type { Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Passwords } from '../passwords/passwords.ts'
import type { PasswordPolicy } from '../passwords/policy.ts'
import type { Clock } from '../platform/clock.ts'
import type { Sessions } from '../sessions/sessions.ts'
import type { Database } from '../storage/database.ts'
import type { Throttle } from '../throttle/throttle.ts'
import type { AccessTokens } from '../tokens/access-token.ts'
import type { Users } from '../users/users.ts'

/** Handed to every flow. */
export interface Services {
  readonly config: Pick<Config, 'messageLanguage'>
  readonly users: Users
  readonly tokens: AccessTokens
  readonly passwords: Passwords
  readonly policy: PasswordPolicy
  readonly sessions: Sessions
  readonly throttle: Throttle
  /** For the batches that cross features; a feature's own statements are its service's. */
  readonly database: Database
  readonly clock: Clock
  readonly metrics: Metrics
  readonly report: Report
  /** A short keyed digest of a canonical e-mail, for the log. */
  readonly emailDigest: (emailKey: string) => string
}
