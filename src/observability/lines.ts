// How a line of the log looks: JSON on one line, or for people. No value can break a line or fill a disk, and what looks like
// a secret is not written.

import { createRecent } from '../platform/recent.ts'

export type LogFormat = 'json' | 'pretty'

/** What a line is made from, as the logging library has it. Time: milliseconds since 1970. */
interface Entry {
  readonly timestamp: number
  readonly level: string
  /** The event's name. */
  readonly rawMessage: string | TemplateStringsArray
  readonly properties: Readonly<Record<string, unknown>>
}

/** The line of a request. */
export interface RequestLine {
  readonly level: 'debug' | 'info'
  /** Milliseconds since 1970. */
  readonly time: number
  readonly requestId: string
  readonly method: string
  readonly route: string
  readonly status: number
  /** How long it took. */
  readonly ms: number
  readonly clientAddress: string
  readonly userAgent: string
}

/** One line, without its line break. */
export function formatRecord(record: Entry, format: LogFormat): string {
  const time = new Date(record.timestamp).toISOString()
  const event = String(record.rawMessage)
  if (format === 'json') return toJson({ time, level: record.level, event, ...record.properties })
  const fields = Object.entries(record.properties).flatMap(([name, value]) =>
    isSecret(name) ? [] : [`${name}=${toJson(value)}`],
  )
  return [time.slice(11, 23), record.level.padEnd(7), event, ...fields].join(' ')
}

/** The same line that `formatRecord` would make of a request. All fields but one are short, and none can be a secret. */
export function formatRequest({ level, time, ...fields }: RequestLine, format: LogFormat): string {
  if (format === 'pretty') {
    const record = { rawMessage: REQUEST, level, timestamp: time, properties: { ...fields } }
    return formatRecord(record, format)
  }
  const { requestId, method, route, status, ms, clientAddress, userAgent } = fields
  return escapeLineBreaks(
    JSON.stringify({
      time: new Date(time).toISOString(),
      level,
      event: REQUEST,
      requestId,
      method,
      route,
      status,
      ms,
      clientAddress,
      userAgent: shorten(userAgent),
    }),
  )
}

const REQUEST = 'http.request'

const LONGEST_VALUE = 300

function toJson(value: unknown): string {
  const text = JSON.stringify(value, (name, v) => {
    if (isSecret(name)) return undefined
    return typeof v === 'string' ? shorten(v) : v
  })
  return escapeLineBreaks(text ?? 'null')
}

/** Fields that must not exist; if one does by mistake, it is dropped rather than printed. */
const SECRET_NAMES = /password|token|secret|hash$|authorization|cookie|^email$|private/i

/** Earlier judgements, by field name. Field names are written in the code, so they are few. */
const known = createRecent<boolean>(1_000)

function isSecret(name: string): boolean {
  const answer = known.get(name) ?? SECRET_NAMES.test(name)
  known.set(name, answer)
  return answer
}

function shorten(text: string): string {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text
}

/** JSON leaves these raw, but some terminals and log collectors break or act on them, or show a line in another order. */
export function escapeLineBreaks(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
