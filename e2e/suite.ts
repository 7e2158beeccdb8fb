// `npm test`: all that must hold, part by part: types, lint, the tests beside the code, each file of e2e/.
// `npm test -- src graphiql` runs these two only; `--verbose` shows what they print even where nothing fails.
// The last line is for machines: `N passed, N failed`, and `, N skipped` if any were.

import { readdirSync } from 'node:fs'
import { askDirectly } from './direct.ts'
import type { Part, Result } from './part.ts'
import { runPart } from './part.ts'

/** Tests of what is stored, once more on a libSQL server, which is slower to reach. */
const SERVER_TESTS = [
  ...['sessions', 'keys', 'http', 'app.test.ts'].map((path) => `./src/${path}`),
  '--preload=./e2e/on-server.ts',
]
/** A busy machine is slow; what hangs is ended all the same. */
const PATIENT = '--timeout=60000'
const VERBOSE = '--verbose'
/** The part that takes longest: it begins first. */
const LONGEST = 'compose'
/** Most parts wait for something most of the time: three run at once, unless what they print is to be read. */
const LANES = 3
const ENDING = '.test.ts'
/** What is left out of the output of a part that failed: among hundreds of these lines nobody finds the others. */
const PASSED = /^\(pass\) .*\n/gm
const names = process.argv.slice(2).filter((argument) => argument !== VERBOSE)
const parts = findParts()
const unknown = names.filter((name) => !parts.some((part) => part.name === name))

if (unknown.length > 0) {
  const known = parts.map((part) => part.name).join(', ')
  console.error(`There is no part ${unknown.join(', ')}. There are: ${known}.`)
  process.exit(64)
}
const chosen = parts.filter(({ name }) => names.length === 0 || names.includes(name))
askDirectly()
process.exitCode = await runAll(chosen, process.argv.includes(VERBOSE))

function findParts(): readonly Part[] {
  const bun = process.execPath
  const one = (name: string, ...command: string[]): Part => ({ name, command, holdsTests: false })
  const tests = (name: string, ...paths: string[]): Part => ({
    name,
    command: [bun, 'test', PATIENT, ...paths],
    holdsTests: true,
  })
  const files = readdirSync(import.meta.dir).filter((file) => file.endsWith(ENDING))
  const topics = files.map((file) => file.slice(0, -ENDING.length)).sort()
  return [
    one('types', bun, 'node_modules/typescript/bin/tsc', '--noEmit'),
    one('lint', bun, 'node_modules/@biomejs/biome/bin/biome', 'ci'),
    tests('src', './src'),
    tests('src-server', ...SERVER_TESTS),
    ...topics.map((topic) => tests(topic, `./e2e/${topic}${ENDING}`)),
  ]
}

/** Gives the exit code. */
async function runAll(chosen: readonly Part[], verbose: boolean): Promise<number> {
  const stop = stopOnSignal()
  const results: Result[] = []
  const run = async (part: Part) => {
    const result = await runPart(part, verbose, stop)
    if (stop.aborted) return
    console.log(lineOf(result))
    results.push(result)
  }
  const isLongest = ({ name }: Part) => Number(name === LONGEST)
  const queue = chosen.toSorted((one, other) => isLongest(other) - isLongest(one))
  const runNext = async () => {
    for (let part = queue.shift(); part && !stop.aborted; part = queue.shift()) await run(part)
  }
  await Promise.all(Array.from({ length: verbose ? 1 : LANES }, runNext))
  if (stop.aborted) return 130
  if (!verbose) tellOutput(results.filter(({ failed }) => failed > 0))
  tellSkipped(results.filter(({ skipped }) => skipped.length > 0))
  return tellVerdict(results)
}

function stopOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => controller.abort())
  return controller.signal
}

function lineOf({ name, passed, failed, skipped, seconds }: Result): string {
  const mark = failed > 0 ? '✗' : '✓'
  const counts = countsOf(passed, failed, skipped.length)
  return `${mark} ${name.padEnd(15)} ${counts.padEnd(36)} ${seconds.toFixed(1).padStart(6)} s`
}

function countsOf(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function tellOutput(results: readonly Result[]): void {
  for (const { name, output } of results)
    console.log(`\n──── ${name} (alone: npm test -- ${name})\n\n${output.replace(PASSED, '')}`)
}

function tellSkipped(results: readonly Result[]): void {
  for (const { name, skipped, missing } of results) {
    const reason = missing.length > 0 ? `missing: ${missing.join('; ')}` : 'no reason given'
    console.log(`\nSkipped in ${name} (${reason}):`)
    for (const test of skipped) console.log(`  ${test}`)
  }
}

function tellVerdict(results: readonly Result[]): number {
  const sum = (of: (result: Result) => number) => results.reduce((all, one) => all + of(one), 0)
  const skipped = sum((result) => result.skipped.length)
  // Under CI everything is there: a test that was skipped has proved nothing.
  const failing = process.env['CI'] === 'true' ? skipped : 0
  const failed = sum((result) => result.failed) + failing
  console.log(
    `\n${countsOf(
      sum((result) => result.passed),
      failed,
      skipped - failing,
    )}`,
  )
  return failed > 0 ? 1 : 0
}
