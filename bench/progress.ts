// The one line that says what is being done: rewritten on a terminal, one after the other in a log.

/** Says what is going on. */
export interface Progress {
  say(what: string): void
  /** Clears the line. */
  end(): void
}

/** Progress on standard error, so that the report alone is on standard output. */
export function createProgress(): Progress {
  const terminal = process.stderr.isTTY === true
  const started = performance.now()
  const elapsed = () => `${Math.round((performance.now() - started) / 1_000)} s`.padStart(5)
  return {
    say(what) {
      const line = `${elapsed()}  ${what}`
      process.stderr.write(terminal ? `\r\u001b[K${line}` : `${line}\n`)
    },
    end() {
      process.stderr.write(terminal ? '\r\u001b[K' : `${elapsed()}  done\n`)
    },
  }
}
