// The log: one parsable line per entry, whatever its values hold, and no field that could be a secret.

import { describe, expect, test } from 'bun:test'
import type { Logger } from '@logtape/logtape'
import { createTestLog } from '../testing/log.ts'
import { formatRecord } from './lines.ts'
import { createLog, describeError, withLogContext } from './log.ts'

const written = (fields: Record<string, unknown>) => {
  const { log, lines } = createTestLog()
  log.info('something.happened', fields)
  return lines
}

test('a line says when, how serious, what, and the fields it was given', () => {
  const [line = ''] = written({ userId: 'usr_1', count: 2 })
  const { time, ...rest } = JSON.parse(line)
  expect(rest).toEqual({ level: 'info', event: 'something.happened', userId: 'usr_1', count: 2 })
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('the request id is on every line of a request, across awaits, and not on those of another', async () => {
  const { log, lines } = createTestLog()
  const story = (requestId: string) =>
    withLogContext({ requestId }, async () => {
      await Promise.resolve()
      log.info(requestId)
    })
  await Promise.all([story('req_1'), story('req_2')])
  expect(lines).toHaveLength(2)
  for (const line of lines) expect(JSON.parse(line).requestId).toBe(JSON.parse(line).event)
})

const HOSTILE = [
  '\r\n{"level":"info"}',
  '\u001b[31mred',
  'a\u2028b\u2029c',
  '\u007f\u0085\u009b31m',
  '\0',
  '\ud800',
  '\ufeffbegins again',
  '\u202esdrawkcab\u2066\u200f\u061c',
  '"}{"',
  '문지기 🚪',
]

describe('no value breaks a line (log injection)', () => {
  test.each(HOSTILE)('%j', (value) => {
    const lines = written({ userAgent: value })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}\ufeff]+$/u)
    expect(JSON.parse(lines[0] ?? '').userAgent).toBe(value)
  })
})

describe('the line of a request, which is written by hand, is what the library would write', () => {
  test.each(['curl/8.0', 'x'.repeat(1_000), ...HOSTILE])('for the client %j', (userAgent) => {
    const { log, lines } = createTestLog()
    const fields = {
      requestId: 'req_1',
      method: 'POST',
      route: '/graphql',
      status: 200,
      ms: 1.5,
      clientAddress: '192.0.2.1',
      userAgent,
    }
    log.info('http.request', fields)
    log.request({ level: 'info', time: Date.parse(JSON.parse(lines[0] ?? '').time), ...fields })
    expect(lines[1]).toBe(lines[0])
  })
})

test('the line of a request is written where its level is, as the others are', () => {
  const lines: string[] = []
  const logger = { isEnabledFor: (level: string) => level !== 'debug' }
  const write = (line: string) => void lines.push(line)
  const log = createLog(logger as Logger, { write, format: 'json' })
  const line = { time: 0, requestId: 'req_1', method: 'GET', status: 200, ms: 1 }
  const client = { clientAddress: '192.0.2.1', userAgent: '' }
  log.request({ ...line, ...client, level: 'debug', route: '/readyz' })
  log.request({ ...line, ...client, level: 'info', route: '/graphql' })
  expect(lines.map((text) => JSON.parse(text).route)).toEqual(['/graphql'])
})

test('a long value is cut', () => {
  const [line = ''] = written({ userAgent: 'x'.repeat(1_000_000) })
  expect(line.length).toBeLessThan(500)
})

describe('a field that could hold a secret is dropped, at any depth', () => {
  test.each([
    'password',
    'newPassword',
    'accessToken',
    'refresh_token',
    'secret',
    'MUNJIGI_SECRET',
    'hash',
    'authorization',
    'cookie',
    'email',
    'privateJwk',
  ])('%s', (name) => {
    expect(
      written({ [name]: 'hunter2', deep: { list: [{ [name]: 'hunter2' }] } }).join(),
    ).not.toContain('hunter2')
  })
})

test('an unexpected error is described by its kind and its place, never by its message', () => {
  const described = describeError(new TypeError('the password is hunter2'))
  expect(described['error']).toBe('TypeError')
  expect(described['at']).toContain('log.test.ts')
  expect(JSON.stringify(described)).not.toContain('hunter2')
  const disguised = describeError(new Error('boom\n    at hunter2'))
  expect(JSON.stringify(disguised)).not.toContain('hunter2')
  expect(describeError('hunter2')).toEqual({ error: 'string' })
})

test('of the place of an error a few frames are told, however deep it is', () => {
  const from = (depth: number): Error[] =>
    depth === 0 ? [new Error('deep')] : [...from(depth - 1)]
  expect(describeError(from(20)[0])['at']?.split(' < ')).toHaveLength(6)
})

test('for people a line begins with the time of day and names its fields, but none that could hold a secret', () => {
  const record = {
    category: ['munjigi'],
    level: 'warning',
    message: [],
    rawMessage: 'login.failed',
    timestamp: 0,
    properties: { reason: 'wrong\npassword', token: 'hunter2' },
  } as const
  expect(formatRecord(record, 'pretty')).toBe(
    '00:00:00.000 warning login.failed reason="wrong\\npassword"',
  )
})
