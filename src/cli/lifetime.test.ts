// Faults that belong to no request: they are logged, by kind and place only. And a signal that comes twice.

import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { createTestLog } from '../testing/log.ts'
import { listen } from './listen.ts'

const SECRET = 'hunter2'

/** Runs a program that serves until it calls `end`. */
async function run(fault: string) {
  const program = `
    import { createTestApp } from './src/testing/app.ts'
    import { firstSignal, serveUntilSignal } from './src/cli/lifetime.ts'
    import { listen } from './src/cli/listen.ts'
    import { startLog } from './src/observability/log.ts'
    import { createLoop } from './src/platform/loop.ts'
    import { systemRandom as random } from './src/platform/random.ts'

    const app = await createTestApp()
    const log = startLog({ level: 'info', format: 'json' })
    const { promise: signalled, resolve: end } = Promise.withResolvers()
    const on = () => listen('127.0.0.1', 0, log)
    const parts = { app, database: app.database, log, random, signalled, drainSeconds: 0 }
    void serveUntilSignal({ ...parts, publicListener: on(), metricsListener: on() })
    ${fault}`
  const child = Bun.spawn([process.execPath, '--no-env-file', '-e', program], {
    cwd: join(import.meta.dir, '../..'),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [output, complaints, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  expect(output + complaints).not.toContain(SECRET)
  expect(complaints).toBe('')
  const lines = output.trimEnd().split('\n')
  return { code, events: lines.map((line) => (JSON.parse(line) as { event: string }).event) }
}

test('background work that throws is a line of the log, and is done again', async () => {
  const { code, events } = await run(`
    let rounds = 0
    const loop = createLoop(1, random, async () => {
      rounds += 1
      if (rounds === 3) loop.stop()
      if (rounds === 3) end('SIGTERM')
      throw new Error('${SECRET}')
    })
    loop.start()`)
  expect(events.filter((event) => event === 'background.failed')).toHaveLength(3)
  expect(events.at(-1)).toBe('server.stopped')
  expect(code).toBe(0)
})

test('an exception that nobody caught is a line as well, and ends the process', async () => {
  const { code, events } = await run(`setTimeout(() => { throw new Error('${SECRET}') })`)
  expect(events).toContain('process.failed')
  expect(code).toBe(1)
})

test('a signal is heard once where a supervisor sends it and the launcher passes it on', async () => {
  const { code, events } = await run(`
    void firstSignal().then(end)
    for (const _ of ['by the supervisor', 'by the launcher']) process.emit('SIGTERM', 'SIGTERM')`)
  expect([code, events.at(-1)]).toEqual([0, 'server.stopped'])
})

test('a request whose answer throws gets a 500, and a line of the log', async () => {
  const { log, lines } = createTestLog()
  const listener = listen('127.0.0.1', 0, log)
  listener.answer(() => Promise.reject(new Error(SECRET)))
  expect((await fetch(listener.url)).status).toBe(500)
  await listener.close(0)
  expect(lines.join()).toContain('request.failed')
  expect(lines.join()).not.toContain(SECRET)
})
