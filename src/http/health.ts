// GET /livez and GET /readyz. Neither asks anything when it is asked: they report what the background knows.

import { Hono } from 'hono'

/** What readiness rests on. */
export interface Health {
  /** The parts that keep this replica from serving, by name; empty when it can. */
  readonly failing: () => readonly string[]
}

/** The two routes. */
export function healthRoutes(health: Health): Hono {
  return new Hono()
    .get('/livez', (c) => c.json({ status: 'alive' }))
    .get('/readyz', (c) => {
      const failing = health.failing()
      return failing.length === 0
        ? c.json({ status: 'ready' })
        : c.json({ status: 'unavailable', failing }, 503)
    })
}
