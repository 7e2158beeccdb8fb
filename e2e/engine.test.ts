// The two engines that compute hashes, in servers on one database: each logs in whom the other has signed up, and the log says
// at the start which one runs.

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KIM, LOGIN, SIGNUP } from '../src/testing/app.ts'
import { ask } from './ask.ts'
import type { Server } from './server.ts'
import { startServer } from './server.ts'

// On a busy machine.
setDefaultTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'munjigi-engine-'))
const database = `file:${join(folder, 'munjigi.db')}`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const start = (env: Record<string, string>) => startServer({ mode: 'serve', database, env })
const login = async (server: Server, email: string) =>
  (await ask(server.url, LOGIN, { variables: { ...KIM, email } })).data.login.__typename

test('native and bun log in each other’s users, and the log says which one runs', async () => {
  {
    await using server = await start({ MUNJIGI_PASSWORD_ENGINE: 'native' })
    expect(await server.logged('hashing.ready')).toMatchObject({
      engine: 'native',
      memoryKib: 19_456,
      passes: 2,
      other: expect.stringContaining('MUNJIGI_PASSWORD_ENGINE=bun'),
    })
    await ask(server.url, SIGNUP, { variables: { ...KIM, email: 'native@example.com' } })
    expect(await login(server, 'native@example.com')).toBe('LoggedIn')
    const metrics = await (await fetch(server.metricsUrl)).text()
    expect(metrics).toContain('munjigi_password_hash_seconds_count{engine="native"} 2')
  }
  {
    await using server = await start({})
    expect(await server.logged('hashing.ready')).toMatchObject({
      engine: 'bun',
      other: expect.stringContaining('MUNJIGI_PASSWORD_ENGINE=native'),
    })
    expect(await login(server, 'native@example.com')).toBe('LoggedIn')
    await ask(server.url, SIGNUP, { variables: { ...KIM, email: 'bun@example.com' } })
  }
  await using server = await start({ MUNJIGI_PASSWORD_ENGINE: 'native' })
  expect(await login(server, 'bun@example.com')).toBe('LoggedIn')
})
