// One JSON object per line on standard output. Fields are named by the caller, never dumped; what looks like a
// secret is removed all the same, and no value can break a line or fill a disk.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger, LogRecord, Sink } from '@logtape/logtape'
import { configureSync, getLogger, withContext } from '@logtape/logtape'
import { redactByField } from '@logtape/redaction'

/** The log that is handed to everybody: `log.info('login.failed', { userId })`. The message is the event's name. */
export interface Log {
  readonly debug: Say
  readonly info: Say
  readonly warn: Say
  readonly error: Say
  /** The line of a request. */
  request(line: RequestLine): void
}

type Say = (event: string, fields?: Readonly<Record<string, unknown>>) => void

/** What is said of every request. */
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

export type LogFormat = 'json' | 'pretty'

/** Configures logging for the process and returns its log. Lines go to standard output, in order. */
export function startLog(options: { level: LogRecord['level']; format: LogFormat }): Log {
  const write = createWriter((text) => console.log(text))
  configureLog(options.level, (record) => write(formatRecord(record, options.format)))
  return createLog(getLogger(['munjigi']), { write, format: options.format })
}

/**
 * Lines that are written together at the end of this turn of the event loop, before anything waits: many requests that
 * arrive at once share one write. A process that exits writes what it has; one that is killed loses that turn.
 */
function createWriter(output: (text: string) => void): (line: string) => void {
  let lines: string[] = []
  const flush = () => {
    if (lines.length > 0) output(lines.join('\n'))
    lines = []
  }
  process.once('exit', flush)
  return (line) => {
    if (lines.push(line) === 1) setImmediate(flush)
  }
}

/** The log of a logger of the library. Request lines, which every request pays for, go past it: it costs more than the request. */
export function createLog(
  logger: Logger,
  lines: { write: (line: string) => void; format: LogFormat },
): Log {
  const said = { debug: logger.isEnabledFor('debug'), info: logger.isEnabledFor('info') }
  return {
    debug: (event, fields = {}) => logger.debug(event, fields),
    info: (event, fields = {}) => logger.info(event, fields),
    warn: (event, fields = {}) => logger.warn(event, fields),
    error: (event, fields = {}) => logger.error(event, fields),
    request(line) {
      if (said[line.level]) lines.write(formatRequest(line, lines.format))
    },
  }
}

/** Sends all that is logged, with secrets removed, to `sink`. Once per process. */
export function configureLog(level: LogRecord['level'], sink: Sink): void {
  configureSync({
    reset: true,
    contextLocalStorage: new AsyncLocalStorage(),
    sinks: { lines: redactByField(sink, { fieldPatterns: SECRET_NAMES }) },
    loggers: [
      { category: ['munjigi'], lowestLevel: level, sinks: ['lines'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['lines'] },
    ],
  })
}

/** Runs `work` so that every line logged in it carries these fields (the request id). */
export function withLogContext<T>(fields: Record<string, string>, work: () => T): T {
  return withContext(fields, work)
}

/** What may be said of an unexpected error: its kind and where it came from. Its message could hold anything. */
export function describeError(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { error: typeof error }
  // The message stands at the head of the stack, and could look like a frame.
  const stack = (error.stack ?? '').replace(error.message, '')
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  return {
    error: error.name,
    at: frames
      .slice(0, 6)
      .map((line) => line.trim())
      .join(' < '),
  }
}

/** One line, without its line break. */
export function formatRecord(record: LogRecord, format: LogFormat): string {
  const time = new Date(record.timestamp).toISOString()
  const event = String(record.rawMessage)
  if (format === 'json') return toJson({ time, level: record.level, event, ...record.properties })
  const fields = Object.entries(record.properties).map(
    ([name, value]) => `${name}=${toJson(value)}`,
  )
  return [time.slice(11, 23), record.level.padEnd(7), event, ...fields].join(' ')
}

/** The same line that `formatRecord` would make of a request. All fields but one are short, and none can be a secret. */
function formatRequest({ level, time, ...fields }: RequestLine, format: LogFormat): string {
  if (format === 'pretty') {
    const record = { category: [], message: [], rawMessage: REQUEST, level, timestamp: time }
    return formatRecord({ ...record, properties: fields }, format)
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

/** Fields that must not exist; if one does by mistake, it is dropped rather than printed. */
const SECRET_NAMES = [
  /password/i,
  /token/i,
  /secret/i,
  /^hash$|Hash$/,
  /authorization/i,
  /cookie/i,
  /^email$/i,
  /private/i,
]

const LONGEST_VALUE = 300

function toJson(value: unknown): string {
  const text = JSON.stringify(value, (_, v) => (typeof v === 'string' ? shorten(v) : v))
  return escapeLineBreaks(text ?? 'null')
}

function shorten(text: string): string {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text
}

/** JSON leaves these raw, but some terminals and log collectors break or act on them. */
function escapeLineBreaks(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
