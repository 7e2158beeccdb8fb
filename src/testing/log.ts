// The real log, written into an array for each test: the same fields, the same removal of secrets, the same format.

import { getLogger } from '@logtape/logtape'
import { formatRecord } from '../observability/lines.ts'
import type { Log } from '../observability/log.ts'
import { configureLog, createLog } from '../observability/log.ts'

const linesOf = new Map<string, string[]>()
let configured = false

/** A log and the lines it has written so far, as they would appear on standard output. */
export function createTestLog(): { log: Log; lines: string[] } {
  if (!configured) {
    configureLog('debug', (record) =>
      linesOf.get(record.category[1] ?? '')?.push(formatRecord(record, 'json')),
    )
    configured = true
  }
  const name = `test-${linesOf.size}`
  const lines: string[] = []
  linesOf.set(name, lines)
  const write = (line: string) => void lines.push(line)
  return { log: createLog(getLogger(['munjigi', name]), { write, format: 'json' }), lines }
}
