// A user who comes from another system, as one line of JSON: address and stored hash. What is wrong with a line is said
// without repeating any of it.

import { readHash } from '../passwords/hash-format.ts'
import type { PasswordHash } from '../passwords/hasher.ts'
import { isObject } from '../platform/json.ts'
import type { Email } from './email.ts'
import { readEmail } from './email.ts'

/** What is taken over of a user. Times: milliseconds since 1970. */
export interface ImportedUser {
  readonly email: Email
  readonly passwordHash: PasswordHash
  /** Null: not given. */
  readonly createdAt: number | null
  readonly disabled: boolean
}

/** A line that was understood, or what is wrong with it. */
export type ReadLine = { readonly user: ImportedUser } | { readonly fault: string }

const PROPERTIES = ['email', 'passwordHash', 'createdAt', 'disabled']
const HASH_FAULTS = {
  unknown_format: 'passwordHash is of no kind that can be checked here',
  too_costly: 'passwordHash asks for more memory or time than is allowed here',
}
/** RFC 3339 with a time zone: a local time would mean another moment on another machine. */
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

/** Reads one line: `{"email": …, "passwordHash": …}`, and if wanted `"createdAt"` (RFC 3339) and `"disabled"`. */
export function readImportedUser(line: string, now: number): ReadLine {
  const record = parse(line)
  if (!record) return { fault: 'not a JSON object' }
  // A misspelt `disabled` would let in a user whom the other system kept out.
  if (!Object.keys(record).every((name) => PROPERTIES.includes(name)))
    return { fault: `has a property that is none of ${PROPERTIES.join(', ')}` }
  const { email, passwordHash, createdAt = null, disabled = false } = record
  const address = typeof email === 'string' ? readEmail(email) : 'malformed'
  if (typeof address === 'string') return { fault: `email is ${address.replace('_', ' ')}` }
  const hash = typeof passwordHash === 'string' ? readHash(passwordHash) : 'unknown_format'
  if (typeof hash === 'string') return { fault: HASH_FAULTS[hash] }
  const moment = createdAt === null ? null : readMoment(createdAt)
  if (Number.isNaN(moment) || (moment ?? 0) > now)
    return { fault: 'createdAt is not an RFC 3339 time in the past' }
  if (typeof disabled !== 'boolean') return { fault: 'disabled is neither true nor false' }
  return {
    user: {
      email: address,
      passwordHash: passwordHash as PasswordHash,
      createdAt: moment,
      disabled,
    },
  }
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

/** NaN when it is none. */
function readMoment(value: unknown): number {
  if (typeof value !== 'string' || !MOMENT.test(value)) return Number.NaN
  const day = value.slice(0, 10)
  // Of a 30th of February `Date` makes a day in March.
  return new Date(day).toJSON()?.startsWith(day) ? Date.parse(value) : Number.NaN
}
