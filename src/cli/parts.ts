// What `main.ts` hands to a command: the log and the makers of the real parts.

import type { App, Core } from '../app.ts'
import type { Config, Settings } from '../config.ts'
import type { KeyRing } from '../keys/keys.ts'
import type { Log } from '../observability/log.ts'
import type { Random } from '../platform/random.ts'
import type { Database } from '../storage/database.ts'

/** The real parts, not yet made. */
export interface Parts {
  readonly log: Log
  readonly random: Random
  readonly openDatabase: (settings: Settings) => Promise<Database>
  /** If one key opens, those that do not are left out. */
  readonly openReadableKeys: (config: Config, database: Database) => Promise<KeyRing>
  readonly createCore: (config: Config, database: Database) => Promise<Core>
  readonly createApp: (config: Config, database: Database) => Promise<App>
}

/** What a command of an operator is given: the settings, as far as they are set, and the parts. */
export interface OperatorParts {
  readonly settings: Settings
  readonly parts: Parts
}
