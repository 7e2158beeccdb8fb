// What `munjigi serve` does in which order, and `munjigi dev` too.

import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { createTestApp } from '../testing/app.ts'
import { createTestLog } from '../testing/log.ts'
import { createTestRandom } from '../testing/random.ts'
import { serve } from './serve.ts'

test('no connection is taken before the app has started', async () => {
  const app = await createTestApp()
  const free = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const { port = 0 } = free
  await free.stop()
  const connection = () =>
    fetch(`http://127.0.0.1:${port}/livez`).then(
      ({ status }) => status,
      () => 'refused',
    )
  const seen: unknown[] = []
  const started = serve(
    { ...app.config, port },
    {
      log: createTestLog().log,
      random: createTestRandom(),
      openDatabase: () => Promise.resolve(app.database),
      createCore: () => Promise.reject(new Error('no command of the operator')),
      openReadableKeys: () => Promise.reject(new Error('no command of the operator')),
      createApp: () =>
        Promise.resolve({
          ...app,
          async start() {
            seen.push(await connection())
            throw new Error('as far as this test goes')
          },
        }),
    },
  )
  await expect(started).rejects.toThrow('as far as this test goes')
  expect(seen).toEqual(['refused'])
})

test.each(['serve', 'dev'])(
  '%s: a signal ends a start that waits for its database',
  async (mode) => {
    const program = `
    import { ${mode} } from './src/cli/${mode}.ts'
    import { TEST_CONFIG } from './src/testing/app.ts'
    import { createTestLog } from './src/testing/log.ts'

    const locked = () => {
      process.kill(process.pid, 'SIGTERM')
      return new Promise((_, reject) => setTimeout(() => reject(new Error('locked')), 3_000))
    }
    await ${mode}(TEST_CONFIG, { log: createTestLog().log, openDatabase: locked })`
    const child = Bun.spawn([process.execPath, '--no-env-file', '-e', program], {
      cwd: join(import.meta.dir, '../..'),
      stdout: 'ignore',
      stderr: 'ignore',
    })
    expect(await child.exited).toBe(0)
  },
)
