// npm run bench: what the server costs, beside ceilings measured in the same run, in turn with it.
// Loads only servers that it starts itself on 127.0.0.1, for a bounded time. README.md says how to read the result.

import { writeFileSync } from 'node:fs'
import manifest from '../package.json' with { type: 'json' }
import type { Burst } from './load.ts'
import type { Cores } from './machine.ts'
import { chooseCores, describeMachine } from './machine.ts'
import type { Options } from './options.ts'
import { HELP, readOptions } from './options.ts'
import { createProgress } from './progress.ts'
import type { Facts, Figures } from './report.ts'
import { toMarkdown, toText } from './report.ts'
import type { Stage } from './stage.ts'
import { createStage, ROOT } from './stage.ts'
import type { Start, Starter, StartName } from './startup.ts'
import { createStarters } from './startup.ts'
import type { Subject, SubjectName } from './subjects.ts'
import { prepare } from './subjects.ts'

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
  const figures = await measure(options, cores)
  const facts = describe(options, cores)
  console.log(`\n${toText(facts, figures)}`)
  if (options.out) writeFileSync(options.out, toMarkdown(facts, figures))
  return 0
}

async function measure(options: Options, cores: Cores): Promise<Figures> {
  await using stage = createStage()
  stopOnSignal(stage)
  const progress = createProgress()
  progress.say('starting the servers')
  const subjects = await prepare(stage, cores)
  const starters = createStarters(stage)
  progress.say('warming up')
  await Promise.all(subjects.filter(isLight).map(({ burst }) => burst(options.warmUpSeconds)))
  // One after the other: under more load than they can serve they would begin to refuse, as they should.
  for (const { burst } of subjects.filter(isHeavy)) await burst(options.warmUpSeconds)
  for (const { prime } of starters) await prime()

  const figures = emptyFigures()
  for (let round = 1; round <= options.rounds; round += 1) {
    const say = (what: string) => progress.say(`round ${round} of ${options.rounds}: ${what}`)
    // Forth and back: nothing always comes after the same neighbour.
    for (const { name, burst } of inTurn(subjects, round)) {
      say(name)
      figures.bursts[name].push(await burst(options.seconds))
    }
    if (round > options.startRounds) continue
    for (const { name, time } of inTurn(starters, round)) {
      say(name)
      figures.starts[name].push(await time())
    }
  }
  progress.end()
  return figures
}

function isLight({ name }: Pick<Subject, 'name'>): boolean {
  return !isHeavy({ name }) && name !== 'hash'
}

/** The bare hash is not among them: it warms itself up. */
function isHeavy({ name }: Pick<Subject, 'name'>): boolean {
  return name === 'login' || name === 'signup'
}

function inTurn<T extends Subject | Starter>(items: readonly T[], round: number): readonly T[] {
  return round % 2 === 1 ? items : items.toReversed()
}

function emptyFigures() {
  const bursts: Record<SubjectName, Burst[]> = {
    bareEcho: [],
    dressedEcho: [],
    me: [],
    jwks: [],
    hash: [],
    login: [],
    signup: [],
  }
  const starts: Record<StartName, Start[]> = { bareStart: [], warmStart: [], coldStart: [] }
  return { bursts, starts }
}

/** Servers left behind would go on running. */
function stopOnSignal(stage: Stage): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      void stage[Symbol.asyncDispose]().finally(() => process.exit(130))
    })
}

function describe({ rounds, seconds, startRounds }: Options, { server, load }: Cores): Facts {
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
        : `servers and bare hash on core ${server}, load on ${load}; starts on all`,
    ],
    [
      'load',
      `${rounds} rounds in turn, ${seconds} s each; 16 connections, for passwords 8; 16 accounts; ${startRounds} of each start; logs to files`,
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
