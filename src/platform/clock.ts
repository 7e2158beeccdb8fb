// The one place that reads time. Everything else is handed a Clock, so that tests move time by hand.

/** Two kinds of time: the calendar's, which may jump, and a stopwatch, which never runs backwards. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. For what is written down: rows, claims, log lines. */
  now(): number
  /** Milliseconds since an arbitrary start. For intervals: a corrected clock must not stretch them. */
  elapsed(): number
}

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
}
