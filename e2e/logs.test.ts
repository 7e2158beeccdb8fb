// `npm run logs`: which lines it shows, and how.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { readable } from './logs.ts'
import { seen } from './output.ts'
import { freeEdgePorts } from './ports.ts'
import { painter } from './status.ts'
import { canRunStack } from './tools.ts'

setDefaultTimeout(60_000)

const paint = painter(false)
const FAILED =
  '{"time":"2026-11-25T10:11:12.345Z","level":"info","event":"login.failed","requestId":"r1","userId":"usr_1","reason":"wrong_password"}'
const ACCESS =
  '{"type":"access","time":"2026-11-25T10:11:12.400Z","request_id":"r1","status":200,"path":"/graphql","flags":null}'

describe('a line', () => {
  test('shows time, event, its fields and the request', () => {
    expect(readable(FAILED, {}, paint)).toBe(
      '10:11:12.345 login.failed           userId=usr_1 reason=wrong_password r1',
    )
    expect(readable(ACCESS, {}, paint)).toBe(
      '10:11:12.400 access                 status=200 path=/graphql r1',
    )
  })

  test('is found by request in both logs, by user, by the beginning of its event', () => {
    for (const line of [FAILED, ACCESS, `munjigi-1  | ${FAILED}`]) {
      expect(readable(line, { request: 'r1' }, paint)).not.toBeNull()
      expect(readable(line, { request: 'r2' }, paint)).toBeNull()
    }
    expect(readable(FAILED, { user: 'usr_1' }, paint)).not.toBeNull()
    expect(readable(ACCESS, { user: 'usr_1' }, paint)).toBeNull()
    expect(readable(FAILED, { event: 'login.' }, paint)).not.toBeNull()
    expect(readable(FAILED, { event: 'failed' }, paint)).toBeNull()
  })

  test('cannot command the terminal', () => {
    const gone = '\u001b[2Jgone'
    const line = JSON.stringify({ event: gone, requestId: gone, path: gone })
    expect(readable(line, {}, paint)).not.toContain('\u001b')
  })

  test('stays one line, and in its order, whatever a client calls itself', () => {
    const name = '\u202edne eht\u2066\u200f\u2028문지기'
    for (const line of [{ userAgent: name }, { user_agent: name }])
      expect(readable(JSON.stringify({ event: 'x', ...line }), {}, paint)).toMatch(
        /^[^\p{Zl}\p{Zp}\p{Bidi_C}]+문지기$/u,
      )
  })

  test('that is no JSON is shown as it is, unless something is asked for', () => {
    expect(readable('panic: no', {}, paint)).toBe('panic: no')
    expect(readable('panic: no', { event: 'login' }, paint)).toBeNull()
  })
})

test.skipIf(!(await canRunStack()))('npm run up is followed to its end', async () => {
  const ports = await freeEdgePorts()
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, ...ports, MUNJIGI_DRAIN_SECONDS: '0' }
  const start = (script: string, ...args: string[]) =>
    Bun.spawn([process.execPath, '--no-orphans', join('e2e', script), ...args], {
      cwd: join(import.meta.dir, '..'),
      env,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    })
  const up = start('up.ts')
  const upText = await seen(up.stdout, 'Ctrl-C')
  const logs = start('logs.ts', '--event', 'http.request')
  try {
    expect(upText).toContain('GraphQL')
    await fetch(`https://localhost:${ports['EDGE_HTTPS_PORT']}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{__typename}"}',
      tls: { rejectUnauthorized: false },
    })
    const text = await seen(logs.stdout, '/graphql')
    expect(text).toContain('http.request')
    expect(text).not.toContain('access ')

    const command = `"${process.execPath}" e2e/logs.ts | head -n 1`
    const piped = Bun.spawn(['sh', '-c', command], { cwd: join(import.meta.dir, '..'), env })
    expect(await piped.exited).toBe(0)
    up.kill('SIGTERM')
    expect(await logs.exited).toBe(0)
  } finally {
    logs.kill('SIGTERM')
    up.kill('SIGTERM')
    await Promise.all([logs.exited, up.exited])
  }
})
