// `npm run rollout`: asks the running `npm run up` to replace its replicas one by one, and shows each step. A replica is
// stopped only when the one before it gets requests again, and finishes what it began: no request fails.

import { existsSync } from 'node:fs'
import { EdgeSettingFault } from '../envoy/render.ts'
import { controlSocket, readPorts } from './stack.ts'

if (import.meta.main) process.exitCode = await run()

async function run(): Promise<number> {
  try {
    const unix = controlSocket(readPorts(process.env).https)
    if (!existsSync(unix)) return fail('Nothing to replace: npm run up is not running.', 69)
    const response = await fetch('http://localhost/rollout', { method: 'POST', unix })
    let last = ''
    for await (const chunk of response.body ?? []) {
      last = new TextDecoder().decode(chunk)
      process.stdout.write(last)
    }
    return last.endsWith('done\n') ? 0 : 1
  } catch (error) {
    if (error instanceof EdgeSettingFault) return fail(error.message, 78)
    return fail('npm run up does not answer: was it stopped?', 69)
  }
}

function fail(message: string, exitCode: number): number {
  console.error(message)
  return exitCode
}
