// The log: lines on standard output (lines.ts says how they look, and leaves out what looks like a secret). Fields are named by
// the caller, never dumped.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger, LogRecord, Sink } from '@logtape/logtape'
import { configureSync, getLogger, withContext } from '@logtape/logtape'
import type { LogFormat, RequestLine } from './lines.ts'
import { formatRecord, formatRequest } from './lines.ts'

/** The log that is handed to everybody: `log.info('login.failed', { userId })`. The message is the event's name. */
export interface Log {
  readonly info: Say
  readonly warn: Say
  readonly error: Say
  /** The line of a request. */
  request(line: RequestLine): void
}

type Say = (event: string, fields?: Readonly<Record<string, unknown>>) => void

/** Configures logging for the process and returns its log. Lines go to standard output, unless told otherwise, in order. */
export function startLog(options: {
  level: LogRecord['level']
  format: LogFormat
  output?: 'stdout' | 'stderr'
}): Log {
  const write = createWriter((text) =>
    options.output === 'stderr' ? console.error(text) : console.log(text),
  )
  configureLog(options.level, (record) => write(formatRecord(record, options.format)))
  return createLog(getLogger(['munjigi']), { write, format: options.format })
}

/**
 * Collects lines and writes them together at the end of this turn of the event loop, before it waits again: many requests
 * that arrive at once share one write. A process that exits writes what it has; one that is killed loses that turn's lines.
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

/** The log over a logger of LogTape. Request lines bypass that logger: it would cost more than the request itself. */
export function createLog(
  logger: Logger,
  lines: { write: (line: string) => void; format: LogFormat },
): Log {
  const said = { debug: logger.isEnabledFor('debug'), info: logger.isEnabledFor('info') }
  return {
    info: (event, fields = {}) => logger.info(event, fields),
    warn: (event, fields = {}) => logger.warn(event, fields),
    error: (event, fields = {}) => logger.error(event, fields),
    request(line) {
      if (said[line.level]) lines.write(formatRequest(line, lines.format))
    },
  }
}

/** Sends all that is logged to `sink`. Once per process. */
export function configureLog(level: LogRecord['level'], sink: Sink): void {
  configureSync({
    reset: true,
    contextLocalStorage: new AsyncLocalStorage(),
    sinks: { lines: sink },
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
