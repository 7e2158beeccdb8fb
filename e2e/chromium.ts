// A real browser, where one is installed.

import { existsSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { chromium } from 'playwright-core'
import { requires } from './requirement.ts'

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

const executablePath = findChromium()

/** Whether there is one, for `test.skipIf(!…)`. */
export const hasChromium = requires('Chromium (or its path in CHROMIUM)', executablePath !== '')

/** Starts it, without a window. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath, args: QUIET })
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
