// What `munjigi serve` does in which order.

import { expect, test } from 'bun:test'
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
