// Writes what is generated from the code: schema.graphql and the settings table of the READMEs. `npm run generate`.

import { settingsTable } from '../config/table.ts'
import type { Services } from '../flows/services.ts'
import { createSchema, schemaText } from '../schema.ts'

const ROOT = new URL('../../', import.meta.url)
const MARKS = {
  begin: '<!-- settings: begin (npm run generate) -->',
  end: '<!-- settings: end -->',
} as const

/** The files that hold the settings table. */
const README_FILES = ['README.md', 'README.ko.md'] as const

/** Each generated file: where it is and what it should say. */
export async function generatedDocuments(): Promise<Array<{ path: string; text: string }>> {
  return [
    // The printed schema depends on no service: resolvers are not called.
    { path: 'src/schema.graphql', text: schemaText(createSchema({} as Services)) },
    ...(await Promise.all(
      README_FILES.map(async (path) => ({ path, text: withSettings(await read(path)) })),
    )),
  ]
}

/** The current text of a file of the repository. */
export function read(path: string): Promise<string> {
  return Bun.file(new URL(path, ROOT)).text()
}

function withSettings(text: string): string {
  const [before, rest] = text.split(MARKS.begin)
  const [, after] = rest?.split(MARKS.end) ?? []
  if (before === undefined || after === undefined)
    throw new Error('the marks of the settings table are missing')
  return `${before}${MARKS.begin}\n\n${settingsTable()}\n\n${MARKS.end}${after}`
}

if (import.meta.main)
  for (const { path, text } of await generatedDocuments())
    await Bun.write(new URL(path, ROOT), text)
