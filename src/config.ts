// The settings: one table, read once into one frozen Config. Every fault is reported at once, by name, without values.
// Knows neither process nor file system: the environment and a file reader are handed in.

import { unknownNames } from './config/names.ts'
import { withSecretFile } from './config/secret-file.ts'
import type { Name, Setting, Values } from './config/table.ts'
import { NAMES, SETTINGS, variableOf } from './config/table.ts'
import { Fault, PREFIX, RANDOM_TEXT, secretText } from './config/values.ts'
import { systemCode } from './platform/system-error.ts'
import { NotText } from './platform/utf8.ts'

/** How the process was started. The mode is never guessed from the environment. */
export type Mode = 'dev' | 'serve'

/** The settings as the code sees them; config/table.ts says what each means. */
export interface Settings extends Values {
  readonly mode: Mode
  readonly metricsHost: string
}

/** Settings with everything that a running app cannot do without. */
export interface Config extends Settings {
  readonly secret: string
  readonly issuerUrl: string
}

/** How access tokens are signed. */
export type SigningAlgorithm = Settings['signingAlgorithm']

/** The environment that settings are read from. `readFile` reads a `…_FILE`; it throws if it cannot, `NotText` if it is not text. */
export interface ConfigSource {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => string
  /** Whether a person reads the output. */
  readonly onTerminal: boolean
}

/** All that is wrong with the settings, one line each. The process exits with 78 (EX_CONFIG). */
export class ConfigFaults extends Error {
  override readonly name = 'ConfigFaults'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(
      `Configuration has ${faults.length} problem(s):\n${faults.map((f) => `  ${f}`).join('\n')}`,
    )
    this.faults = faults
  }
}

/** Reads and checks every setting; `serve` demands a secret and an issuer. Throws `ConfigFaults` with all that is wrong. */
export function readSettings(mode: 'serve', source: ConfigSource): Config
export function readSettings(mode: Mode, source: ConfigSource): Settings
export function readSettings(mode: Mode, outside: ConfigSource): Settings {
  const faults = unknownNames(outside.environment)
  const source = withSecretFile(outside, faults)
  const read = readAll(mode, source, faults)
  if (mode === 'serve') faults.push(...missingForServe(source.environment))
  faults.push(...contradictionsIn(read))
  if (faults.length > 0) throw new ConfigFaults(faults)
  // Without faults every setting that has a default or is required has a value: the cast states what the checks above ensured.
  const values = read as Values
  return Object.freeze({
    ...values,
    mode,
    metricsHost: values.metricsHost ?? values.host,
    logFormat: isForPeople(mode, source) ? 'pretty' : values.logFormat,
  })
}

/** What was read. A setting at fault is undefined too. */
type Read = { readonly [N in Name]: Values[N] | undefined }

/** The secrets in force. The first one writes; a second one is only accepted beside it. */
export function secretsOf({
  secret,
  secretPrevious,
}: Pick<Config, 'secret' | 'secretPrevious'>): readonly [string, ...string[]] {
  return secretPrevious === undefined ? [secret] : [secret, secretPrevious]
}

/** How many of the `limit` wrong passwords in a row for one user are kept for known addresses, and as many for valid tokens. */
export function reservedLimit(limit: number): number {
  return Math.floor(limit / 5)
}

function readAll(mode: Mode, source: ConfigSource, faults: string[]): Read {
  const read = NAMES.map((name) => [name, readOne(name, mode, source, faults)])
  // Each value is what the reader of its row returned.
  return Object.fromEntries(read) as Read
}

function readOne(name: Name, mode: Mode, source: ConfigSource, faults: string[]): unknown {
  const row: Setting<unknown> = SETTINGS[name]
  try {
    const value =
      given(name, row, source) ??
      (typeof row.default === 'object' ? row.default[mode] : row.default)
    return value === undefined ? undefined : row.read(value)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    faults.push(`${givenAs(name, source)}${error.message}`)
    return undefined
  }
}

/** What the environment says, directly or through `…_FILE`. An empty variable counts as not set. */
function given(name: Name, row: Setting<unknown>, source: ConfigSource): string | undefined {
  const { environment, readFile } = source
  const variable = variableOf(name)
  const plain =
    environment[variable] || (name === 'port' ? environment['PORT'] : undefined) || undefined
  const path = row.secret && environment[`${variable}_FILE`]
  if (!path) return plain
  if (plain) throw new Fault(`: set ${variable} or ${variable}_FILE, not both`)
  try {
    return readFile(path).replace(/\r?\n$/, '')
  } catch (error) {
    if (error instanceof NotText)
      throw new Fault(`_FILE: is not text${row.read === secretText ? `; ${RANDOM_TEXT}` : ''}`)
    throw new Fault(`_FILE: cannot read the file it names (${systemCode(error) ?? 'unreadable'})`)
  }
}

/** The variable that holds what was given: whoever has set only `PORT` would look for another one in vain. */
function givenAs(name: Name, { environment }: ConfigSource): string {
  const variable = variableOf(name)
  return name === 'port' && !environment[variable] ? 'PORT' : variable
}

function missingForServe(environment: ConfigSource['environment']): string[] {
  const isSet = (name: string) => environment[PREFIX + name] || environment[`${PREFIX}${name}_FILE`]
  return ['SECRET', 'ISSUER_URL']
    .filter((name) => !isSet(name))
    .map((name) => `${PREFIX}${name}: is required by serve`)
}

/** Settings that do not go together, one line each. One that could not be read contradicts none: it is a fault already. */
function contradictionsIn(settings: Read): string[] {
  const faults: string[] = []
  if (settings.clientAddressHeader && settings.trustedPeers?.rules.length === 0)
    faults.push(
      `${PREFIX}CLIENT_ADDRESS_HEADER: needs ${PREFIX}TRUSTED_PEERS, or anybody could claim any address`,
    )
  if (settings.databaseReadUrl && settings.databaseUrl?.startsWith('file:'))
    faults.push(
      `${PREFIX}DATABASE_READ_URL: needs a server in ${PREFIX}DATABASE_URL; a file has no read replica`,
    )
  if (endsBeforeItWaits(settings.throttleUserAttempts, settings.throttleUserLimit))
    faults.push(
      `${PREFIX}THROTTLE_USER_LIMIT: too low; a fifth of it, reserved for addresses that the user has logged in from, must be more than ${PREFIX}THROTTLE_USER_ATTEMPTS`,
    )
  if (isCheap(settings.passwordHashMemory, settings.passwordHashPasses))
    faults.push(
      `${PREFIX}PASSWORD_HASH_PASSES: too few for that much memory; at least ${CHEAPEST.map(([memory, passes]) => `${passes} with ${memory} MiB`).join(', ')}`,
    )
  if (settings.port && settings.port === settings.metricsPort)
    faults.push(`${PREFIX}METRICS_PORT: must not be the public port`)
  return faults
}

/** OWASP Password Storage: memory in MiB and passes, each pair as strong as the others. */
const CHEAPEST = [
  [46, 1],
  [19, 2],
  [12, 3],
  [9, 4],
  [7, 5],
] as const

/** Whether the parameters are weaker than OWASP asks for. */
function isCheap(memory = Number.POSITIVE_INFINITY, passes = Number.POSITIVE_INFINITY): boolean {
  return !CHEAPEST.some(([least, fewest]) => memory >= least && passes >= fewest)
}

/** Whether users would be shut out at their own addresses before the first delay, because the limit there is not above it. */
function endsBeforeItWaits(attempts = 0, limit = Number.POSITIVE_INFINITY): boolean {
  return attempts >= reservedLimit(limit)
}

/** On a terminal `dev` logs for a person, unless `LOG_FORMAT` is set. */
function isForPeople(mode: Mode, { environment, onTerminal }: ConfigSource): boolean {
  return mode === 'dev' && onTerminal && !environment[`${PREFIX}LOG_FORMAT`]
}
