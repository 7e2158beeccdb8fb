// The command line: which commands exist, what they take, what help says. What they do is handed in.

import { existsSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { Step } from './rotate-secret.ts'

/** What the commands do. Each returns when it is done. */
export interface Actions {
  dev(): Promise<void>
  serve(): Promise<void>
  secrets(folder: string): Promise<void>
  secretsRotate(step: Step): Promise<void>
  keysList(options: Output): Promise<void>
  keysRotate(options: Output): Promise<void>
  keysDrop(kid: string, options: Output): Promise<void>
  sessionsEnd(options: Output & { user: string }): Promise<void>
  usersList(options: Output & { after?: string; limit: number }): Promise<void>
  usersImport(file: string | undefined, options: Output & { check?: true }): Promise<void>
  usersShow(name: string, options: Output): Promise<void>
  usersDisable(name: string, options: Output): Promise<void>
  usersEnable(name: string, options: Output): Promise<void>
  usersSetPassword(name: string, options: Output): Promise<void>
  usersDelete(name: string, options: Output & { yes?: true }): Promise<void>
  backup(file: string, options: BackupOptions): Promise<void>
  restore(file: string, options: RestoreOptions): Promise<void>
  migrate(options: Output & { check?: true }): Promise<void>
}

/** How results are printed: for people, or for programs. */
export interface Output {
  readonly json?: true
}

/** How `munjigi backup` was called. */
export interface BackupOptions extends Output {
  readonly keyFile?: string
}

/** How `munjigi restore` was called. */
export interface RestoreOptions extends BackupOptions {
  readonly dryRun?: true
  readonly replace?: true
}

/** The exit code of a call that nobody can understand (BSD's EX_USAGE). */
export const USAGE = 64

const JSON_FLAG = ['--json', 'print JSON, for scripts'] as const

/** Builds the program. Parsing throws `CommanderError`; help and version leave by it too, with exit code 0. */
export function createProgram(actions: Actions, version: string): Command {
  const program = new Command('munjigi')
    .description(
      'A self-hosted GraphQL auth server. Settings are MUNJIGI_… variables: see the README.',
    )
    .version(`munjigi ${version}`, '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand('help [command]', 'print this help, or the help of a command')
    .showHelpAfterError('(--help lists what there is)')
    // Commander would end the process itself. Every command inherits this.
    .exitOverride()

  addServers(program, actions)
  addSecrets(program, actions)
  addKeys(program, actions)
  addSessions(program, actions)
  addUsers(program, actions)
  addDatabase(program, actions)
  return program
}

function addServers(program: Command, actions: Actions): void {
  program
    .command('dev')
    .description('try it out: makes what it needs and prints what to type next')
    .action(actions.dev)
  program
    .command('serve')
    .description('for production: guesses nothing, and stops if a setting is missing')
    .action(actions.serve)
}

function addSecrets(program: Command, actions: Actions): void {
  const secrets = program
    .command('secrets')
    .argument(
      '<folder>',
      'where to put them; a folder that does not exist yet needs a slash, as in ./name',
      readFolder,
    )
    .description('make those secrets of a deployment that are still missing')
    .helpCommand(true)
    .action((folder: string) => actions.secrets(folder))
  secrets
    .command('rotate')
    .description('replace the secret in MUNJIGI_SECRET_FILE; without an option: make the next one')
    .option('--use-next', 'second step: write with the next one, accept the previous one')
    .addOption(
      new Option('--drop-previous', 'third step: no longer accept the previous one').conflicts(
        'useNext',
      ),
    )
    .action(actions.secretsRotate)
}

/** A bare word may be a mistyped `rotate`: it would make secrets in a folder of that name, and rotate nothing. */
function readFolder(text: string): string {
  if (!/[\\/]/.test(text) && !existsSync(text))
    throw new InvalidArgumentError(`There is no such command and no such folder; write ./${text}.`)
  return text
}

function addKeys(program: Command, actions: Actions): void {
  const keys = program.command('keys').description('the signing keys')
  keys
    .command('list')
    .description('list all keys and their stages')
    .option(...JSON_FLAG)
    .action(actions.keysList)
  keys
    .command('rotate')
    .description('publish the next key now; it signs once every cache can have it')
    .option(...JSON_FLAG)
    .action(actions.keysRotate)
  keys
    .command('drop <kid>')
    .description('for a leaked key: drop it at once; every token it signed is refused')
    .option(...JSON_FLAG)
    .action(actions.keysDrop)
}

function addSessions(program: Command, actions: Actions): void {
  const sessions = program.command('sessions').description("users' sessions")
  sessions
    .command('end')
    .description('end all sessions of a user')
    .requiredOption('--user <email>', 'whose sessions; a user id, usr_…, works too')
    .option(...JSON_FLAG)
    .action(actions.sessionsEnd)
}

function addUsers(program: Command, actions: Actions): void {
  const users = program
    .command('users')
    .description('the users; each is named by e-mail address or by id, usr_…')
  users
    .command('list')
    .description('list users in the order in which they were added')
    .option('--after <id>', 'begin after this user', readUserId)
    .option('--limit <count>', 'how many', readCount, 100)
    .option(...JSON_FLAG)
    .action(actions.usersList)
  users
    .command('import [file]')
    .description(
      'take over users with their hashes, from lines of JSON in a file or standard input',
    )
    .option('--check', 'check every line and write nothing')
    .option(...JSON_FLAG)
    .action(actions.usersImport)
  const one = (name: string, description: string) =>
    users
      .command(`${name} <email>`)
      .description(description)
      .option(...JSON_FLAG)
  one('show', 'show one user and their sessions').action(actions.usersShow)
  one('disable', 'keep a user from logging in, and end their sessions').action(actions.usersDisable)
  one('enable', 'let a user log in again').action(actions.usersEnable)
  one('set-password', 'read a new password from standard input, and end all sessions').action(
    actions.usersSetPassword,
  )
  one('delete', 'delete a user and everything kept about them')
    .option('--yes', 'required: this cannot be undone')
    .action(actions.usersDelete)
}

/** An address, which names a user everywhere else, would be before all ids: the list would begin anew, in a loop for ever. */
function readUserId(text: string): string {
  if (text.includes('@')) throw new InvalidArgumentError('It must be the id of a user, usr_….')
  return text
}

function readCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number from 1 to 999999.')
  return Number(text)
}

function addDatabase(program: Command, actions: Actions): void {
  const keyFile = [
    '--key-file <path>',
    'a file with text of at least 32 bytes, used in place of MUNJIGI_SECRET',
  ] as const
  program
    .command('backup <file>')
    .description('write the users to a sealed file, while replicas serve')
    .option(...keyFile)
    .option(...JSON_FLAG)
    .action(actions.backup)
  program
    .command('restore <file>')
    .description('fill the database from a backup; replicas must be stopped')
    .option(...keyFile)
    .option('--dry-run', 'read all of it, say what would be done, and change nothing')
    .option('--replace', 'replace, and so lose, what the database holds now')
    .option(...JSON_FLAG)
    .action(actions.restore)
  program
    .command('migrate')
    .description('bring the database to the newest schema, as every start does')
    .option('--check', 'only say what would run; exit code 1 if anything would')
    .option(...JSON_FLAG)
    .action(actions.migrate)
}

/** Whether an error is commander's own, already explained to the user. */
export function isUsageError(error: unknown): error is CommanderError {
  return error instanceof CommanderError
}
