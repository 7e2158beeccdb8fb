// `npm run drill NAME`: becomes e2e/drills/NAME.ts, a program that proves for minutes or hours what a test shows in
// seconds, and prints figures. Without a name, or with one that there is not, the names are listed.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dir, 'drills')
const ENDING = '.ts'
const [name, ...rest] = process.argv.slice(2)
const names = readdirSync(FOLDER)
  .filter((file) => file.endsWith(ENDING))
  .map((file) => file.slice(0, -ENDING.length))
  .sort()

if (name === undefined || !names.includes(name)) {
  const problem = name === undefined ? 'npm run drill NAME' : `There is no drill ${name}`
  console.error(`${problem}. There are: ${names.join(', ')}.`)
  process.exit(64)
}
const program = [process.execPath, '--no-env-file', join(FOLDER, `${name}${ENDING}`), ...rest]
// Not a child, where the system can: its signals and its exit code are then this one's.
process.execve?.(process.execPath, program, process.env)
process.exitCode = Bun.spawnSync(program, { stdio: ['inherit', 'inherit', 'inherit'] }).exitCode
