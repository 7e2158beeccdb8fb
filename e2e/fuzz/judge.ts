// What must hold after any operation whatever: no fault of ours, no value repeated, nobody created but from valid input.

import { ERRORS } from '../../src/errors.ts'
import type { SecurityEvent } from '../../src/observability/events.ts'
import { parsePassword } from '../../src/passwords/password.ts'
import { readEmail } from '../../src/users/email.ts'
import type { FuzzRequest } from './documents.ts'

/** Part of every good password, so that one that is repeated is recognised. */
export const MARK = 'zqmark'

/** A user as stored. */
export interface UserRow {
  readonly email: string
  readonly email_key: string
  readonly password_hash: string
}

/** Gives the code of an answer, or `ok`. Throws when it is none that may be given. */
export function judgeAnswer({ tampered }: FuzzRequest, status: number, text: string): string {
  const { data, errors = [] } = JSON.parse(text) as {
    data?: unknown
    errors?: ReadonlyArray<{ extensions: { code: string } }>
  }
  const codes = errors.map(({ extensions }) => extensions.code)
  if (status >= 500 || codes.includes('INTERNAL_SERVER_ERROR')) throw new Error(`fault: ${text}`)
  if (!codes.every((code) => Object.hasOwn(ERRORS, code))) throw new Error(`no such code: ${text}`)
  if (data === undefined && codes.length === 0) throw new Error(`neither data nor error: ${text}`)
  // In a document that was cut about, a password may have become a name, and names may be repeated.
  if (!tampered && text.includes(MARK)) throw new Error(`repeats a password: ${text}`)
  return codes[0] ?? 'ok'
}

/** Gives how many users came of one request. Throws when it has tried more than one password. */
export function judgeEvents(events: readonly SecurityEvent[]): number {
  const tries = events.filter(({ type }) => /^user\.signed_up$|^login\./.test(type))
  if (tries.length > 1) throw new Error(`several at once: ${tries.map(({ type }) => type)}`)
  return tries.filter(({ type }) => type === 'user.signed_up').length
}

/** Throws unless a new user is made of valid input that was sent. */
export async function judgeUser(row: UserRow, { values, tampered }: FuzzRequest): Promise<void> {
  const email = readEmail(row.email)
  if (typeof email === 'string' || email.key !== row.email_key)
    throw new Error(`no e-mail address: ${row.email}`)
  if (tampered) return
  if (!values.some((value) => value.includes(row.email))) throw new Error('an e-mail not sent')
  for (const value of values.filter(isValidPassword))
    if (await Bun.password.verify(value.normalize('NFC'), row.password_hash)) return
  throw new Error('the hash of no valid password that was sent')
}

/** Throws when a line of the log tells of a fault of ours, or repeats a password. */
export function judgeLog(lines: readonly string[]): void {
  const loud = lines.find(
    (line) => /request\.failed|database\.fault/.test(line) || line.includes(MARK),
  )
  if (loud !== undefined) throw new Error(`a line of the log: ${loud}`)
}

function isValidPassword(value: string): boolean {
  try {
    return parsePassword(value, { field: 'password', minLength: 8 }) !== ''
  } catch {
    return false
  }
}
