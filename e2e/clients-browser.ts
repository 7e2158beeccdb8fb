// An application in a real browser: its modules are served at an origin of its own, and its tabs do as they are told.

import { existsSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { requires } from './requirement.ts'

/** Tabs of one browser that share its localStorage. Disposing of them closes it. */
export interface Tabs extends AsyncDisposable {
  readonly first: Tab
  readonly second: Tab
}

/** What an expression comes to in the tab. */
export type Tab = (expression: string) => Promise<unknown>

const executablePath = findChromium()

/** Whether there is a browser, for `test.skipIf(!…)`. */
export const hasChromium = requires('Chromium (or its path in CHROMIUM)', executablePath !== '')

/** Opens two tabs. `modules`: their texts by file name; all exports of those in `used` can be used, in this order of import. */
export async function openTabs(
  modules: ReadonlyMap<string, string>,
  used: readonly string[],
): Promise<Tabs> {
  const pages = Bun.serve({ port: 0, fetch: ({ url }) => respond(modules, new URL(url).pathname) })
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  const context = await browser.newContext()
  const open = async () => tab(await context.newPage(), pages.url.href, used)
  return {
    first: await open(),
    second: await open(),
    async [Symbol.asyncDispose]() {
      await browser.close()
      await pages.stop(true)
    },
  }
}

function respond(modules: ReadonlyMap<string, string>, path: string): Response {
  const text = modules.get(path.slice(1))
  const type = text === undefined ? 'text/html' : 'text/javascript'
  const body = text ?? '<!doctype html><link rel="icon" href="data:,"><title>Tab</title>'
  return new Response(body, { headers: { 'content-type': type } })
}

async function tab(page: Page, url: string, used: readonly string[]): Promise<Tab> {
  await page.goto(url)
  const imports = used.map((file) => `Object.assign(globalThis, await import('/${file}'))`)
  await page.evaluate(`(async () => { ${imports.join('; ')} })()`)
  return (expression) => page.evaluate(expression)
}

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
