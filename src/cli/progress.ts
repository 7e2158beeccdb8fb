// How far long work is: a bar on a terminal, a line every few seconds in a log. On standard error, beside the result.

import type { Clock } from '../platform/clock.ts'

/** Says how far something is. */
export interface Progress {
  at(done: number, of: number): void
  /** Takes the bar away. */
  end(): void
}

const WIDTH = 30
const REDRAWN_MS = 100
const SAID_MS = 5_000

/** Progress of `what`. */
export function createProgress(what: string, clock: Clock): Progress {
  const terminal = process.stderr.isTTY === true
  const pause = terminal ? REDRAWN_MS : SAID_MS
  let next = terminal ? 0 : clock.elapsed() + pause
  return {
    at(done, of) {
      if (clock.elapsed() < next) return
      next = clock.elapsed() + pause
      const share = of === 0 ? 1 : Math.min(1, done / of)
      const text = `${what} ${Math.floor(share * 100)} % (${done} of ${of} rows)`
      process.stderr.write(terminal ? `\r\u001b[K${lineOf(share, text)}` : `${text}\n`)
    },
    end() {
      if (terminal) process.stderr.write('\r\u001b[K')
    },
  }
}

/** Shorter where the terminal is narrow: of a line that wraps only the last row could be taken away. */
function lineOf(share: number, text: string): string {
  const columns = process.stderr.columns || 80
  const width = Math.max(0, Math.min(WIDTH, columns - text.length - 2))
  const full = Math.round(share * width)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${text}`.slice(0, columns - 1)
}
