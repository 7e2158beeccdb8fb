// The log: lines on standard output (lines.ts says how they look). Fields are named by the caller, never dumped; what looks
// like a secret is removed all the same.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger, LogRecord, Sink } from '@logtape/logtape'
import { configureSync, getLogger, withContext } from '@logtape/logtape'
import { redactByField } from '@logtape/redaction'
import type { LogFormat, RequestLine } from './lines.ts'
import { formatRecord, formatRequest } from './lines.ts'

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
