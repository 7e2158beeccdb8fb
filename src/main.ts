// The process: environment, settings and the real parts; hands them to a command. The only reader of the environment.

import { readFileSync } from 'node:fs'
import type { Dependencies } from './app.ts'
import { createApp } from './app.ts'
import { dev } from './cli/dev.ts'
import { explain, HELP, VERSION } from './cli/help.ts'
import type { Parts } from './cli/parts.ts'
import { serve } from './cli/serve.ts'
import type { ConfigSource, Settings } from './config.ts'
import { readSettings } from './config.ts'
import { createReport, SECURITY_EVENTS } from './observability/events.ts'
import { startLog } from './observability/log.ts'
import { createMetrics } from './observability/metrics.ts'
import { DEFAULT_COST } from './passwords/hasher.ts'
import { systemClock } from './platform/clock.ts'
import { systemRandom } from './platform/random.ts'
import { END_REASONS } from './sessions/session.ts'
import { openDatabase } from './storage/database.ts'

// Database, secret and their temporary files: whatever this process writes is its owner's alone.
process.umask(0o077)

const source: ConfigSource = {
  environment: process.env,
  readFile: (path) => readFileSync(path, 'utf8'),
  onTerminal: process.stdout.isTTY === true,
}
const [command = '--help', ...rest] = process.argv.slice(2)

try {
  process.exitCode = await run()
} catch (error) {
  const { message, exitCode } = explain(error)
  process.stderr.write(`${message}\n`)
  process.exit(exitCode)
}

async function run(): Promise<number> {
  if (command === '--version') return say(`munjigi ${VERSION}`)
  if (command === '--help') return say(HELP)
  if ((command !== 'dev' && command !== 'serve') || rest.length > 0) {
    process.stderr.write(
      `munjigi: no such command or option: ${[command, ...rest].join(' ')}\n\n${HELP}\n`,
    )
    return 64
  }
  const settings = readSettings(command, source)
  const parts = realParts(settings)
  if (command === 'dev') await dev(settings, parts)
  else
    await serve(
      {
        ...settings,
        mode: 'serve',
        secret: settings.secret ?? '',
        issuerUrl: settings.issuerUrl ?? '',
      },
      parts,
    )
  return 0
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function realParts({ logLevel: level, logFormat: format }: Settings): Parts {
  const [clock, random, log] = [systemClock, systemRandom, startLog({ level, format })]
  const metrics = createMetrics({
    version: VERSION,
    bun: Bun.version,
    securityEvents: SECURITY_EVENTS,
    endReasons: END_REASONS,
  })
  const shared = { clock, random, log, metrics }
  return {
    log,
    random,
    openDatabase: ({ databaseUrl: url, databaseAuthToken: authToken }) =>
      openDatabase({ url, authToken, ...shared }),
    createApp(config, database) {
      const dependencies: Dependencies = {
        config,
        database,
        ...shared,
        report: createReport(log, metrics),
        hashingCost: DEFAULT_COST,
      }
      return createApp(dependencies)
    },
  }
}
