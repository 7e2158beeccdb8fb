// The READMEs are true: their commands, exactly as printed, run in a shell against the real server. Only the one line that
// sets the URL is replaced.

import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { walk } from '../src/cli/welcome.ts'
import { startServer } from './server.ts'

const READMES = ['README.md', 'README.ko.md']
const ROOT = new URL('../', import.meta.url)
const PAGES = ['*.md', 'bench/*.md', 'docs/**/*.md', 'envoy/*.md', 'monitoring/*.md'].flatMap(
  (pages) => [...new Bun.Glob(pages).scanSync(fileURLToPath(ROOT))],
)

/** The shell blocks of a README's walk: from the URL to the last command, in order. */
function walkOf(readme: string): string[] {
  const text = readFileSync(new URL(readme, ROOT), 'utf8')
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block.trim())
  const begin = blocks.findIndex((block) => block.startsWith('URL='))
  return blocks.slice(begin, begin + 5)
}

/** Of each heading, as GitHub makes them: one that comes again gets a number. */
function anchorsOf(file: URL): string[] {
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)
  const seen = new Map<string, number>()
  return [...headings].map(([, text = '']) => {
    const anchor = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
    const times = seen.get(anchor) ?? 0
    seen.set(anchor, times + 1)
    return times === 0 ? anchor : `${anchor}-${times}`
  })
}

describe.each(READMES)('%s', (readme) => {
  test('has the walk that dev prints', () => {
    expect(walkOf(readme).slice(1)).toEqual(walk('$URL').map(({ command }) => command))
  })

  test('its walk ends with the text of the contract', async () => {
    await using server = await startServer({ mode: 'dev' })
    const script = walkOf(readme)
      .map((line) => (line.startsWith('URL=') ? `URL=${server.url}/graphql` : line))
      .join('\necho\n')
    const shell = Bun.spawnSync(['bash', '-eu', '-c', script])
    const [signup = '', me = '', again = ''] = shell.stdout
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('{'))
    expect(JSON.parse(signup)).toMatchObject({
      data: { signup: { user: { email: 'kim@example.com' }, tokens: { expiresIn: 600 } } },
    })
    expect(JSON.parse(me)).toMatchObject({ data: { me: { email: 'kim@example.com' } } })
    expect(JSON.parse(again)).toEqual({
      data: {
        login: {
          __typename: 'AlreadyLoggedIn',
          message: '이미 kim@example.com로 로그인 하였습니다.',
        },
      },
    })
    expect(shell.exitCode).toBe(0)
  })
})

test.each(PAGES)('%s links only to files and headings that exist', (page) => {
  const text = readFileSync(new URL(page, ROOT), 'utf8')
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)]
  const broken = links.filter(([, path, heading]) => {
    const file = path ? new URL(path, new URL(page, ROOT)) : new URL(page, ROOT)
    return !existsSync(file) || !(heading === '' || anchorsOf(file).includes(heading ?? ''))
  })
  expect(broken.map(([link]) => link)).toEqual([])
})

describe('an error', () => {
  /** What is wrong in the signup of the walk that gets it. */
  const WRONG = {
    'README.md': { from: 'correct horse battery staple', to: 'short' },
    'README.ko.md': { from: 'correct horse battery staple', to: 'short' },
    'docs/clients.md': { from: 'kim@example.com', to: 'kim' },
  }

  test.each(Object.entries(WRONG))(
    'is shown in %s as the server answers it',
    async (page, { from, to }) => {
      const text = readFileSync(new URL(page, ROOT), 'utf8')
      const shown = /^\{ ?"errors"[\s\S]*?(?=```)/m.exec(text)?.[0] ?? ''
      await using server = await startServer({ mode: 'dev' })
      const [signup] = walk(`${server.url}/graphql`)
      const command = signup?.command.replace(from, to) ?? ''
      const answer = Bun.spawnSync(['sh', '-c', command]).stdout.toString()
      expect(JSON.parse(answer.replace(/req_[\w-]+/, 'req_…'))).toEqual(JSON.parse(shown))
    },
  )
})

test('what dev prints can be pasted as it is', async () => {
  await using server = await startServer({ mode: 'dev' })
  const script = walk(`${server.url}/graphql`)
    .map(({ command }) => command)
    .join('\necho\n')
  const output = Bun.spawnSync(['bash', '-eu', '-c', script]).stdout.toString()
  expect(output).toContain('이미 kim@example.com로 로그인 하였습니다.')
})
