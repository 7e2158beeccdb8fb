// `npm run drill NAME`: one of the long runs of e2e/drills/, which are too long for the tests. `npm run drill` tells the names.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dir, 'drills')
const names = readdirSync(FOLDER).map((file) => file.replace(/\.ts$/, ''))
const [name = ''] = process.argv.splice(2, 1)

if (names.includes(name)) await import(join(FOLDER, `${name}.ts`))
else {
  console.error(`npm run drill NAME, where NAME is one of: ${names.join(', ')}`)
  process.exitCode = 64
}
