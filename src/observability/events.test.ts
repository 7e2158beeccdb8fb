// What operators are told of an event: one line, one count, and a warning where somebody may be up to something.

import { expect, test } from 'bun:test'
import { createTestLog } from '../testing/log.ts'
import type { SecurityEvent } from './events.ts'
import { createReport, SECURITY_EVENTS } from './events.ts'

test('each event is one line and one count, and a warning if it may be an attack or a fault', () => {
  const { log, lines } = createTestLog()
  const counted: string[] = []
  const report = createReport(log, { countSecurityEvent: (event) => void counted.push(event) })
  for (const type of SECURITY_EVENTS) report({ type, userId: 'usr_1' } as SecurityEvent)
  const told = lines.map((line) => JSON.parse(line))
  expect(told.map(({ event, userId }) => [event, userId])).toEqual(
    SECURITY_EVENTS.map((type) => [type, 'usr_1']),
  )
  expect(counted).toEqual([...SECURITY_EVENTS])
  const warnings = told.filter(({ level }) => level === 'warning').map(({ event }) => event)
  expect(warnings.sort()).toEqual([
    ...['hash.refused', 'key.refused', 'login.failed', 'reauthentication.failed'],
    ...['session.reuse_detected', 'throttle.refused'],
  ])
})
