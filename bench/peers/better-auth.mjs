// better-auth as its documentation sets it up: e-mail and password, its own SQLite schema, a cookie for the session.
// Only its rate limit is off, as all load comes from one address. Runs from a folder where it is installed; not ours to type.

import { existsSync } from 'node:fs'
import { Database } from 'bun:sqlite'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'

const [file] = process.argv.slice(2)
const fresh = !existsSync(file)
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  development: false,
  fetch: (request) => auth.handler(request),
})
const url = `http://127.0.0.1:${server.port}`
const auth = betterAuth({
  baseURL: url,
  secret: 'a secret of more than thirty-two bytes, for a benchmark',
  database: new Database(file),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
})
if (fresh) await (await getMigrations(auth.options)).runMigrations()
console.log(JSON.stringify({ event: 'server.started', url }))
process.once('SIGTERM', () => process.exit())
