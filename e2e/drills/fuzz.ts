// npm run drill fuzz [-- --rounds N --seed N]: what fuzz.test.ts does, longer and with a new seed, and how long the real server
// takes over each attack of payloads.ts. Ends with 1 when anything failed.

import { parseArgs } from 'node:util'
import type { Findings } from '../fuzz/operations.ts'
import { fuzzOperations } from '../fuzz/operations.ts'
import type { Payload } from '../payloads.ts'
import { DOCUMENTS, ENVELOPES, FOREIGN, HEAVY } from '../payloads.ts'
import { startServer } from '../server.ts'
import { wholeNumber } from '../whole-number.ts'

/** A round begins with an empty database, so that memory does not grow with the length of the drill. */
const OPERATIONS = 10_000
/** No attack may keep the server longer. */
const BOUND_MS = 50
const TIMES = 11

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { rounds: { type: 'string' }, seed: { type: 'string' } },
})
const rounds = wholeNumber(values.rounds, 20)
const seed = wholeNumber(values.seed, Math.trunc(Date.now() / 1_000))

const all: Findings[] = []
for (let round = 0; round < rounds; round += 1) {
  console.log(`round ${round + 1} of ${rounds}, seed ${seed + round}`)
  all.push(await fuzzOperations({ runs: OPERATIONS, seed: seed + round }))
}
tellFindings(all)
process.exitCode = (await timePayloads()) ? 0 : 1

function tellFindings(findings: readonly Findings[]): void {
  const sum = (of: (one: Findings) => number) => findings.reduce((all, one) => all + of(one), 0)
  const codes = new Set(findings.flatMap((one) => Object.keys(one.codes)))
  console.log(`\n${sum((one) => one.operations)} operations, ${sum((one) => one.users)} users\n`)
  for (const code of [...codes].sort())
    console.log(`  ${code.padEnd(26)} ${sum((one) => one.codes[code] ?? 0)}`)
  const [slowest] = findings.map((one) => one.slowest).sort((a, b) => b.ms - a.ms)
  console.log(`\nslowest: ${slowest?.ms.toFixed(1)} ms of CPU\n  ${slowest?.body.slice(0, 400)}`)
}

/** Gives whether every attack was answered in time. */
async function timePayloads(): Promise<boolean> {
  await using server = await startServer({ mode: 'serve' })
  const payloads = [...DOCUMENTS, ...ENVELOPES, ...FOREIGN, ...HEAVY]
  // Once unmeasured, so that the code is compiled.
  for (const payload of payloads) await timeOf(server.url, payload)
  const times: Array<{ name: string; median: number; most: number }> = []
  for (const payload of payloads) {
    const measured: number[] = []
    for (let time = 0; time < TIMES; time += 1) measured.push(await timeOf(server.url, payload))
    measured.sort((a, b) => a - b)
    times.push({
      name: payload.name,
      median: measured[Math.trunc(TIMES / 2)] ?? 0,
      most: measured.at(-1) ?? 0,
    })
  }
  times.sort((a, b) => b.median - a.median)
  console.log(`\n${times.length} attacks, ${TIMES} times each; the slowest, median and most in ms:`)
  for (const { name, median, most } of times.slice(0, 10))
    console.log(`  ${median.toFixed(1).padStart(7)} ${most.toFixed(1).padStart(7)}  ${name}`)
  return times.every(({ median }) => median < BOUND_MS)
}

/** Milliseconds until the whole answer is there. */
async function timeOf(url: string, { request }: Payload): Promise<number> {
  const started = performance.now()
  await (await fetch(`${url}/graphql`, request)).text()
  return performance.now() - started
}
