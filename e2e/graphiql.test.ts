// GraphiQL as a person meets it: the real server, a real browser, and nothing but clicks.
// A page that loads from elsewhere, complains, or swallows a click is a failure here.

import { expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { hasChromium, launchChromium } from './chromium.ts'
import { startServer } from './server.ts'

test.skipIf(!hasChromium)(
  'under `munjigi dev`, clicking through the four tabs ends with being logged in already',
  async () => {
    await using server = await startServer({ mode: 'dev' })
    await using browser = await launchChromium()
    const page = await browser.newPage()
    const heard = listen(page)
    await page.goto(`${server.url}/graphql`)

    expect(await page.title()).toBe('Munjigi — GraphiQL')
    await run(page, heard, 'Me', 'Not sent, for there is no access token yet')
    await run(page, heard, 'Signup', '"signup": {')
    await run(page, heard, 'Login', '"accessToken": "ey')
    await run(page, heard, 'Me', '"email": "kim@example.com",')
    await run(page, heard, 'LoginAgain', '"message": "이미 kim@example.com로 로그인 하였습니다."')

    await noted(page, 'headers', 'accessToken')
    await page.reload()
    await run(page, heard, 'Me', 'Not sent, for there is no access token yet')

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
  },
  120_000,
)

test('under `munjigi serve`, there is no page for browsers', async () => {
  await using server = await startServer({ mode: 'serve' })
  const response = await fetch(`${server.url}/graphql`, { headers: { accept: 'text/html' } })

  expect(response.status).toBe(405)
  expect(response.headers.get('allow')).toBe('POST')
  expect(await response.json()).toMatchObject({
    errors: [{ extensions: { code: 'METHOD_NOT_ALLOWED' } }],
  })
}, 30_000)

/** Presses the tab and ▶, as a person would, and waits until the answer to be seen holds `text`. */
async function run(page: Page, heard: Heard, operation: string, text: string): Promise<void> {
  await page.locator('.graphiql-query-editor .view-line').first().waitFor()
  await page.getByRole('tab').getByRole('button', { name: operation, exact: true }).click()
  await noted(page, 'query', ` ${operation} {`)
  const sentBefore = heard.operations.length
  const button = page.locator('.graphiql-execute-button')
  await button.click()
  const response = page.locator('.graphiql-response')
  const answered = response.filter({ hasText: text })
  await answered.waitFor().catch(async () => {
    const shown = `${await response.textContent()} (${await button.getAttribute('aria-label')})`
    const sent = JSON.stringify(heard.operations.slice(sentBefore))
    throw new Error(
      `${operation} without ${text}: sent ${sent}, heard ${heard.complaints}: ${shown}`,
    )
  })
}

/** GraphiQL notices a moment later what another tab holds, and then notes it in the storage. */
async function noted(page: Page, what: 'query' | 'headers', text: string): Promise<void> {
  const key = `graphiql:${what}`
  await page.waitForFunction((item) => sessionStorage.getItem(item.key)?.includes(item.text), {
    key,
    text,
  })
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
