// GET /livez and GET /readyz. Neither asks anything when it is asked: they report what the background knows.

import { Hono } from 'hono'

/** The two routes. `failing`: the parts that keep this replica from serving, by name; none when it can. */
export function healthRoutes(failing: () => readonly string[]): Hono {
  return new Hono()
    .get('/livez', (c) => c.json({ status: 'alive' }))
    .get('/readyz', (c) => {
      const parts = failing()
      return parts.length === 0
        ? c.json({ status: 'ready' })
        : c.json({ status: 'unavailable', failing: parts }, 503)
    })
}
