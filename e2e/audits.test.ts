// GraphQL over HTTP, judged by its own audits (graphql-http) against the real server. What we do otherwise is listed
// here, with the reason; an entry that no longer holds fails too, so that the list cannot outlive its reasons.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { AuditResult } from 'graphql-http'
import { serverAudits } from 'graphql-http'
import type { Server, ServerOptions } from './server.ts'
import { startServer } from './server.ts'

// The first request of a process, on a busy machine.
setDefaultTimeout(60_000)

/** An audit that does not pass: how much the specification minds (`notice`: it is a MAY), and why. */
type Exceptions = Readonly<Record<string, readonly [Exclude<AuditResult['status'], 'ok'>, string]>>

const NO_GET: Exceptions = {
  '5A70': ['notice', 'queries over GET are not served'],
  D6D5: ['notice', 'queries over GET are not served'],
  '6A70': ['notice', 'queries over GET are not served'],
}

// Both send their variables to the field `__type`; that variables work is what the third mode shows.
const NO_INTROSPECTION: Exceptions = {
  '28B9': ['error', 'the audit needs introspection'],
  '2EA1': ['warn', 'the audit needs introspection'],
}

const MODES: ReadonlyArray<{ name: string; options: ServerOptions; exceptions: Exceptions }> = [
  { name: '`munjigi dev`', options: { mode: 'dev' }, exceptions: NO_GET },
  {
    name: '`munjigi serve`',
    options: { mode: 'serve' },
    exceptions: { ...NO_GET, ...NO_INTROSPECTION },
  },
  {
    name: '`munjigi serve` with introspection',
    options: { mode: 'serve', env: { MUNJIGI_INTROSPECTION: 'true' } },
    exceptions: NO_GET,
  },
]

/** So many, that an update which brings more is noticed. */
const AUDITS = 61

describe.each(MODES)('$name', ({ options, exceptions }) => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(options)
  })
  afterAll(() => server.stop())

  const audits = serverAudits({ url: () => `${server.url}/graphql` })

  for (const { id, name, fn } of audits) {
    const [status, reason] = exceptions[id] ?? ['ok']
    test(`${id} ${name}${reason ? ` – does not, for ${reason}` : ''}`, async () => {
      expect(verdict(await fn())).toStartWith(status)
    })
  }

  test('the audits are those we know, and every exception is one of them', () => {
    const ids = audits.map(({ id }) => id)
    expect(ids).toHaveLength(AUDITS)
    expect(ids).toContainValues(Object.keys(exceptions))
  })
})

/** With the reason, so that a failed test tells it. */
function verdict(result: AuditResult): string {
  return result.status === 'ok' ? 'ok' : `${result.status}: ${result.reason}`
}
