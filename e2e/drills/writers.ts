// 64 concurrent writers through three replicas on one libSQL server, then kill -9 of that server:
// `npm run drill writers [SECONDS [WRITERS]]`, ten minutes by default.

import { startSqld } from '../database.ts'
import { freePort } from '../ports.ts'
import { wholeNumber } from '../whole-number.ts'
import { writeTogether } from '../writers.ts'

/** Nobody may be without a success for longer: that would be a server that is stuck. */
const STUCK_S = 10
const BACK_S = 5

const seconds = wholeNumber(process.argv[2], 600)
const writers = wholeNumber(process.argv[3], 64)
await using sqld = await startSqld({ adminPort: freePort(), durable: true })
const report = await writeTogether(sqld, {
  ...{ seconds, writers, replicas: 3, kill: true },
  onSecond(second, acknowledged) {
    if (second % 30 === 0) console.error(`${second} s: ${acknowledged} writes`)
  },
})
console.log(JSON.stringify(report, null, 2))
const { lost, broken, longestWait, serviceBack = 0 } = report
const held = lost === 0 && broken === 0 && longestWait < STUCK_S && serviceBack < BACK_S
process.exitCode = held ? 0 : 1
