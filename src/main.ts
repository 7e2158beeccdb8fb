// The process: environment, settings and the real parts; hands them to a command. The only reader of the environment.

import { readFileSync } from 'node:fs'
import { version } from '../package.json' with { type: 'json' }
import type { Dependencies } from './app.ts'
import { createApp, createCore, openKeys } from './app.ts'
import type { BackupParts } from './cli/backup.ts'
import { backup } from './cli/backup.ts'
import { dev } from './cli/dev.ts'
import { explain } from './cli/explain.ts'
import { keyCommands } from './cli/keys.ts'
import { endBySignal } from './cli/lifetime.ts'
import { migrateDatabase } from './cli/migrate.ts'
import type { OperatorParts, Parts } from './cli/parts.ts'
import type { Actions } from './cli/program.ts'
import { createProgram } from './cli/program.ts'
import { restore } from './cli/restore.ts'
import { rotateSecret } from './cli/rotate-secret.ts'
import { secrets } from './cli/secrets.ts'
import { serve } from './cli/serve.ts'
import { userCommands } from './cli/users.ts'
import { withCore, withKeys } from './cli/with-core.ts'
import type { Config, ConfigSource, Settings } from './config.ts'
import { readSettings } from './config.ts'
import { createReport } from './observability/events.ts'
import { startLog } from './observability/log.ts'
import { createMetrics } from './observability/metrics.ts'
import { systemClock } from './platform/clock.ts'
import { systemRandom } from './platform/random.ts'
import { textOf } from './platform/utf8.ts'
import type { Database } from './storage/database.ts'
import { openDatabase } from './storage/database.ts'

// Database, secret and their temporary files: whatever this process writes is its owner's alone.
process.umask(0o077)

const source: ConfigSource = {
  environment: process.env,
  readFile: (path) => textOf(readFileSync(path)),
  onTerminal: process.stdout.isTTY === true,
}

const actions: Actions = {
  async dev() {
    const settings = readSettings('dev', source)
    await dev(settings, realParts(settings))
  },
  async serve() {
    const config = readSettings('serve', source)
    await serve(config, realParts(config))
  },
  secrets: (folder) => secrets(folder, systemRandom),
  async secretsRotate(step) {
    await rotateSecret(step, source.environment['MUNJIGI_SECRET_FILE'], forOperator())
  },
  ...keyCommands(
    async (use) => withCore(forOperator(), use),
    async (use) => withKeys(forOperator(), use),
  ),
  ...userCommands(async (use) => withCore(forOperator(), use), systemClock),
  backup: (file, options) => backup(file, options, onDatabase()),
  restore: (file, options) => restore(file, options, onDatabase()),
  async migrate(options) {
    await migrateDatabase(options, forOperator())
  },
}

try {
  await createProgram(actions, version).parseAsync()
} catch (error) {
  const { message, exitCode } = explain(error)
  if (message) process.stderr.write(`${message}\n`)
  // Whatever is still open, a listener perhaps, must not keep a failed process alive.
  process.exit(exitCode)
}

/** For an operator's command: standard output is for its result, so only errors are logged, and to standard error. */
function forOperator(): OperatorParts {
  endBySignal()
  const settings = readSettings('dev', source)
  return { settings, parts: realParts({ ...settings, logLevel: 'error' }, 'stderr') }
}

/** For commands on the database itself, without services. */
function onDatabase(): BackupParts {
  endBySignal()
  const settings = readSettings('dev', source)
  return { settings, clock: systemClock, random: systemRandom, version }
}

function realParts(
  { logLevel: level, logFormat: format }: Settings,
  output: 'stdout' | 'stderr' = 'stdout',
): Parts {
  const [clock, random, log] = [systemClock, systemRandom, startLog({ level, format, output })]
  const metrics = createMetrics(version)
  const shared = { clock, random, log, metrics }
  const dependencies = (config: Config, database: Database): Dependencies => ({
    config,
    database,
    ...shared,
    report: createReport(log, metrics),
    hashingCost: {
      memoryKib: config.passwordHashMemory * 1024,
      passes: config.passwordHashPasses,
    },
  })
  return {
    log,
    random,
    openDatabase: ({ databaseUrl: url, databaseReadUrl: readUrl, databaseAuthToken: authToken }) =>
      openDatabase({ url, readUrl, authToken, ...shared }),
    openReadableKeys: (config, database) =>
      openKeys(dependencies(config, database), { leaveUnreadable: true }),
    createCore: (config, database) => createCore(dependencies(config, database)),
    createApp(config, database) {
      metrics.addProcess()
      return createApp(dependencies(config, database))
    },
  }
}
