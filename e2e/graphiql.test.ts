// GraphiQL as a person meets it: the real server, a real browser, and nothing but clicks.
// A page that loads from elsewhere, complains, or swallows a click is a failure here.

import { describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { requires } from './requirement.ts'

const executablePath = findChromium()

/** A browser that talks to nobody on its own account. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
]

describe.skipIf(!requires('Chromium (or its path in CHROMIUM)', executablePath !== ''))('under `munjigi dev`', () => {
  test('clicking through the four tabs ends with being logged in already', async () => {
    await using server = await startServer('dev')
    await using browser = await chromium.launch({ executablePath, args: QUIET })
    const page = await browser.newPage()
    const heard = listen(page)
    await page.goto(`${server.url}/graphql`)

    expect(await page.title()).toBe('Munjigi — GraphiQL')
    await run(page, 'Me', 'Not sent, for there is no access token yet')
    await run(page, 'Signup', '"signup": {')
    await run(page, 'Login', '"accessToken": "ey')
    await run(page, 'Me', '"email": "kim@example.com",')
    await run(page, 'LoginAgain', '"message": "이미 kim@example.com로 로그인 하였습니다."')

    await page.reload()
    await run(page, 'Me', 'Not sent, for there is no access token yet')

    const introspection = { name: 'IntrospectionQuery', sentToken: false }
    expect(heard.operations).toEqual([
      introspection,
      { name: 'Signup', sentToken: false },
      { name: 'Login', sentToken: false },
      { name: 'Me', sentToken: true },
      { name: 'LoginAgain', sentToken: true },
      introspection,
    ])
    expect(page.url()).toBe(`${server.url}/graphql`)
    expect(heard.origins).toEqual(new Set([server.url]))
    expect(heard.complaints).toEqual([])
  }, 60_000)
})

describe('under `munjigi serve`', () => {
  test('there is no page for browsers', async () => {
    await using server = await startServer('serve')
    const response = await fetch(`${server.url}/graphql`, { headers: { accept: 'text/html' } })

    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('POST')
    expect(await response.json()).toMatchObject({
      errors: [{ extensions: { code: 'METHOD_NOT_ALLOWED' } }],
    })
  }, 30_000)
})

/** Presses the tab and ▶, as a person would, and waits until the answer to be seen holds `text`. */
async function run(page: Page, operation: string, text: string): Promise<void> {
  await page.getByRole('tab').getByRole('button', { name: operation, exact: true }).click()
  // GraphiQL takes a tenth of a second to notice the operation of another tab; then it notes it here.
  await page.waitForFunction(
    (name) => new RegExp(`^(query|mutation) ${name} `, 'm').test(sessionStorage.getItem('graphiql:query') ?? ''),
    operation,
  )
  await page.locator('.graphiql-execute-button').click()
  await page.locator('.graphiql-response').filter({ hasText: text }).waitFor()
}

interface Heard {
  readonly operations: Array<{ name: string; sentToken: boolean }>
  readonly origins: Set<string>
  /** Errors and warnings of the console, violations of the page's policy among them. */
  readonly complaints: string[]
}

function listen(page: Page): Heard {
  const heard: Heard = { operations: [], origins: new Set(), complaints: [] }
  page.on('pageerror', (error) => heard.complaints.push(error.message))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) heard.complaints.push(message.text())
  })
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (protocol !== 'data:') heard.origins.add(origin)
    if (request.method() !== 'POST') return
    const name = String(request.postDataJSON().operationName)
    heard.operations.push({ name, sentToken: 'authorization' in request.headers() })
  })
  return heard
}

interface Server extends AsyncDisposable {
  readonly url: string
}

/** Starts the program in a folder of its own, and resolves when it answers. */
async function startServer(command: 'dev' | 'serve'): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-graphiql-'))
  const server = Bun.spawn([process.execPath, '--no-env-file', 'src/main.ts', command], {
    cwd: join(import.meta.dir, '..'),
    env: {
      MUNJIGI_PORT: '0',
      MUNJIGI_METRICS_PORT: '0',
      MUNJIGI_DATABASE_URL: `file:${join(folder, 'munjigi.db')}`,
      MUNJIGI_SECRET: 'a secret for this test only, 32 bytes or more',
      MUNJIGI_ISSUER_URL: 'https://auth.example.com',
      MUNJIGI_DRAIN_SECONDS: '0',
    },
    stderr: 'inherit',
  })
  return {
    url: await startedUrl(server.stdout),
    async [Symbol.asyncDispose]() {
      server.kill()
      await server.exited
      rmSync(folder, { recursive: true })
    },
  }
}

/** From the log, not from the welcome: only this line says that requests are answered. */
async function startedUrl(output: ReadableStream<Uint8Array>): Promise<string> {
  let text = ''
  // The stream stays open behind us, for the program goes on writing to it.
  const chunks = output.pipeThrough(new TextDecoderStream()).values({ preventCancel: true })
  for await (const chunk of chunks) {
    text += chunk
    const [, url] = /"event":"server\.started","url":"([^"]+)"/.exec(text) ?? []
    if (url) return url
  }
  throw new Error(`the program ended before it answered:\n${text}`)
}

/** The first of the usual names, or an empty path. */
function findChromium(): string {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']
  const candidates = [
    process.env['CHROMIUM'],
    ...names.map((name) => Bun.which(name)),
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ]
  return candidates.find((path) => path && existsSync(path)) ?? ''
}
