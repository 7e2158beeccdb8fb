// Driver failures, reduced to a code at the door: their messages hold the statement and its parameters.

import { AuthError } from '../errors.ts'

/** What a failed statement means to us. `conflict`: a unique index said no. `busy`: not executed, may be repeated. */
export type FaultCode = 'conflict' | 'busy' | 'unreachable' | 'full' | 'other'

/**
 * A database failure without its statement and parameters. `detail` is a code of SQLite, of the network, or of HTTP; `where`
 * is for an operator.
 */
export class StorageFault extends Error {
  override readonly name = 'StorageFault'
  readonly code: FaultCode
  readonly detail: string

  constructor(code: FaultCode, detail: string, where?: string) {
    super(`${code} (${detail})${where ? ` in ${where}` : ''}`)
    this.code = code
    this.detail = detail
  }
}

/** What clients are told of it, and where there was no time to try. */
export function unavailable(): AuthError {
  return new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 })
}

/** Reduces whatever the driver or Drizzle threw. */
export function toFault(error: unknown): StorageFault {
  if (error instanceof StorageFault) return error
  const causes = chainOf(error)
  const messages = causes.map((cause) => cause.message).join('\n')
  const detail =
    // A server's HTTP status says more than the driver's one code for all of them: for instance that it rejects our token.
    causes.map(statusOf).find((status) => status !== '') ??
    causes.map(codeOf).find((code) => code !== '') ??
    (isLate(causes) ? 'TIMEOUT' : 'unknown')
  if (/UNIQUE constraint failed/.test(messages)) return new StorageFault('conflict', 'unique')
  if (/database (?:table )?is locked|SQLITE_BUSY/.test(messages) || detail === 'SQLITE_BUSY')
    return new StorageFault('busy', detail)
  if (/database or disk is full|SQLITE_FULL/.test(messages)) return new StorageFault('full', detail)
  if (/Unable to open connection to local database/.test(messages))
    return new StorageFault('unreachable', 'SQLITE_CANTOPEN')
  if (isNetwork(causes, detail)) return new StorageFault('unreachable', detail)
  return new StorageFault('other', detail)
}

/** The driver's errors. Drizzle's own is left out: it repeats the parameters, and they must not decide what a failure is. */
function chainOf(error: unknown): Error[] {
  const chain: Error[] = []
  for (let cause = error; cause instanceof Error && chain.length < 8; cause = cause.cause)
    if (!('params' in cause)) chain.push(cause)
  return chain
}

/** Only words in capitals are codes; anything else could be a piece of a message. */
function codeOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  return /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : ''
}

function statusOf(error: Error): string {
  return 'status' in error && Number.isInteger(error.status) ? `HTTP_${error.status}` : ''
}

function isLate(causes: readonly Error[]): boolean {
  return causes.some(({ name }) => name === 'TimeoutError' || name === 'AbortError')
}

function isNetwork(causes: readonly Error[], detail: string): boolean {
  if (isLate(causes)) return true
  return (
    /^(?:ECONN|EHOST|ENET|EADDR|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE|EACCES|CLIENT_CLOSED|HRANA_|HTTP_|SQLITE_CANTOPEN|SQLITE_IOERR|SQLITE_READONLY|PROXY_ERROR)|^Connection|CERT|UNABLE_TO_VERIFY/.test(
      detail,
    ) ||
    causes.some((cause) =>
      /fetch failed|Unable to connect|socket connection was closed/i.test(cause.message),
    )
  )
}
