// npm run bench: what the server costs, beside ceilings measured in the same run, in turn with it.
// Loads only servers that it starts itself on 127.0.0.1, for a bounded time. README.md says how to read the result.

import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import manifest from '../package.json' with { type: 'json' }
import type { Figures } from './figures.ts'
import type { Cores } from './machine.ts'
import { chooseCores, describeMachine } from './machine.ts'
import { measure } from './measure.ts'
import type { Options } from './options.ts'
import { HELP, readOptions } from './options.ts'
import { plot } from './plot.ts'
import { createProgress } from './progress.ts'
import type { Facts } from './report.ts'
import { toMarkdown, toText } from './report.ts'
import { createStage, ROOT } from './stage.ts'

try {
  process.exitCode = await main(readOptions(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`\nbench: ${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}

async function main(options: Options | 'help'): Promise<number> {
  if (options === 'help') {
    console.log(HELP)
    return 0
  }
  if (!Bun.which('wrk'))
    throw new Error(
      'wrk makes the load and is not installed: `apt-get install wrk` (Debian, Ubuntu) or `brew install wrk` (macOS)',
    )
  const cores = chooseCores()
  const figures = await run(options, cores)
  const facts = describe(options, cores)
  console.log(`\n${toText(facts, figures)}`)
  if (options.out) write(options.out, facts, figures)
  return 0
}

async function run(options: Options, cores: Cores): Promise<Figures> {
  await using stage = createStage()
  const progress = createProgress()
  const figures = await measure(stage, { options, cores, progress })
  progress.end()
  return figures
}

function write(file: string, facts: Facts, figures: Figures): void {
  const { reads, logins } = figures
  const svg = reads.length > 0 ? file.replace(/(\.md)?$/, '.svg') : undefined
  writeFileSync(file, toMarkdown(facts, figures, svg && basename(svg)))
  if (svg)
    writeFileSync(
      svg,
      plot([
        { title: 'Authenticated read: samples, median, 99th percentile (dashed)', curves: reads },
        { title: 'Login: samples, median, 99th percentile (dashed)', curves: logins },
      ]),
    )
}

function describe(
  { rounds, seconds, logins, startRounds }: Options,
  { server, load }: Cores,
): Facts {
  const { dependencies } = manifest
  const packages = (['hono', 'graphql-yoga', 'graphql', '@libsql/client'] as const)
    .map((name) => `${name} ${dependencies[name]}`)
    .join(', ')
  return [
    ['date', new Date().toISOString().slice(0, 16).replace('T', ' ').concat(' UTC')],
    ['machine', describeMachine()],
    ['versions', `munjigi ${manifest.version}${commit()}, Bun ${Bun.version}, ${wrk()}`],
    ['packages', packages],
    [
      'cores',
      server === undefined
        ? 'nothing pinned (that needs Linux, taskset and two cores): servers and load share them'
        : `servers and ceilings on core ${server}, load on ${load}; starts, and everything behind the edge, on all`,
    ],
    [
      'load',
      `${rounds} rounds in turn, ${seconds} s each, logins and signups twice that; 16 connections, for passwords ${logins}, for refreshes 8; 16 accounts for reads and refreshes, 16 for logins; ${startRounds} of each start; logs to files`,
    ],
  ]
}

function commit(): string {
  const [hash, changes] = [
    ['rev-parse', '--short', 'HEAD'],
    ['status', '--porcelain', 'src'],
  ].map(git)
  return hash ? ` (${hash}${changes ? ' and uncommitted changes' : ''})` : ''
}

function git(args: readonly string[]): string {
  if (!Bun.which('git')) return ''
  const { stdout, success } = Bun.spawnSync(['git', ...args], { cwd: ROOT, stderr: 'ignore' })
  return success ? stdout.toString().trim() : ''
}

function wrk(): string {
  return /^wrk \S+/.exec(Bun.spawnSync(['wrk', '-v']).stdout.toString())?.[0] ?? 'wrk'
}
