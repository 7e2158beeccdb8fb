// An application in a real browser: its modules are served at an origin of its own, and its tabs do as they are told.

import type { Page } from 'playwright-core'
import { launchChromium } from './chromium.ts'

/** Tabs of one browser that share its localStorage. Disposing of them closes it. */
export interface Tabs extends AsyncDisposable {
  readonly first: Tab
  readonly second: Tab
}

/** What an expression comes to in the tab. */
export type Tab = (expression: string) => Promise<unknown>

/** Opens two tabs. `modules`: their texts by file name; all exports of those in `used` can be used, in this order of import. */
export async function openTabs(
  modules: ReadonlyMap<string, string>,
  used: readonly string[],
): Promise<Tabs> {
  const pages = Bun.serve({ port: 0, fetch: ({ url }) => respond(modules, new URL(url).pathname) })
  const browser = await launchChromium()
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
