// `npm run rollout`: replaces the replicas one by one, in a running `npm run up` or else in Compose, and shows each step. Each
// finishes what it began while others get the requests: in Compose one more is there first, natively the others are.
// In Compose a new image comes first: `docker compose build`.

import { EdgeSettingFault } from '../envoy/render.ts'
import { consoleOf, createCompose, hasDocker, rollOut } from './compose.ts'
import { fail } from './output.ts'
import { findControl, readPorts } from './stack.ts'

if (import.meta.main) process.exitCode = await run()

async function run(): Promise<number> {
  try {
    const unix = await findControl(readPorts(process.env).https)
    if (unix) return await rollOutNatively(unix)
    if (hasDocker()) return await rollOutInCompose()
    return fail('Nothing to replace: neither npm run up nor docker compose is running.', 69)
  } catch (error) {
    if (error instanceof EdgeSettingFault) return fail(error.message, 78)
    throw error
  }
}

async function rollOutNatively(unix: string): Promise<number> {
  try {
    const response = await fetch('http://localhost/rollout', { method: 'POST', unix })
    let last = ''
    for await (const chunk of response.body ?? []) {
      last = new TextDecoder().decode(chunk)
      process.stdout.write(last)
    }
    return last.endsWith('done\n') ? 0 : 1
  } catch {
    return fail('npm run up does not answer: was it stopped?', 69)
  }
}

async function rollOutInCompose(): Promise<number> {
  const compose = createCompose()
  if ((await compose.containers('munjigi')).length === 0)
    return fail('Nothing to replace: neither npm run up nor docker compose is running.', 69)
  try {
    await rollOut(compose, await consoleOf(compose), (line) => console.log(line))
    console.log('done')
    return 0
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error), 1)
  }
}
