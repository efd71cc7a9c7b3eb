/**
 * A real browser for the tests of the console: Chromium, driven by playwright-core. Run as a
 * program, as `npm run verify` does, this file installs Debian's Chromium where it can.
 */
import { existsSync } from 'node:fs'
import axe, { type AxeResults } from 'axe-core'
import type { Test } from 'tap'
import { chromium, type Browser, type Page } from 'playwright-core'

export const chromiumPath = [
  process.env.HOLDFAST_TEST_CHROMIUM,
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome'
].find(path => path !== undefined && existsSync(path))

export const chromiumArgs = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

/** Why tests that need a browser are skipped; false when there is one. */
export const noBrowser =
  chromiumPath === undefined &&
  'there is no Chromium here: apt-get install chromium-headless-shell, or name one in HOLDFAST_TEST_CHROMIUM'

export async function browser(t: Pick<Test, 'teardown'>, ...args: string[]): Promise<Browser> {
  const launched = await chromium.launch({ executablePath: chromiumPath!, args: [...chromiumArgs, ...args] })
  t.teardown(() => launched.close())
  return launched
}

interface Opened {
  page: Page
  faults: string[]
}

/**
 * Opens a page. `faults` collects what its console calls an error and what its content security
 * policy stopped. There should be none.
 */
export async function openPage(
  browser: Browser,
  url: string,
  { width = 1280, height = 800, colorScheme = 'light' as 'light' | 'dark', timezoneId = 'UTC' } = {}
): Promise<Opened> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    timezoneId,
    reducedMotion: 'reduce'
  })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const faults: string[] = []
  page.on('pageerror', error => faults.push(error.message))
  // The browser also reports a refusal that the page shows, as a failed load.
  page.on('console', message => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      faults.push(message.text())
    }
  })
  await page.goto(url)
  return { page, faults }
}

const schemes = ['light', 'dark'] as const
const rulesOfColor = ['color-contrast', 'link-in-text-block']

/**
 * What axe finds, in light and in dark, in one line each. The pages differ in nothing but their
 * colors, so the second scheme is checked by the rules of color alone.
 */
export async function violations(
  page: Page,
  within = 'document',
  shownIn = schemes.slice()
): Promise<string[]> {
  if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axe.source)
  const found: string[] = []
  for (const [nth, colorScheme] of shownIn.entries()) {
    await page.emulateMedia({ colorScheme })
    const options = { resultTypes: ['violations'], ...(nth > 0 && { runOnly: rulesOfColor }) }
    const { violations } = (await page.evaluate(
      `axe.run(${within}, ${JSON.stringify(options)})`
    )) as AxeResults
    for (const { id, nodes } of violations) {
      for (const { target, any } of nodes) {
        const messages = any.map(check => check.message).join(' ')
        found.push(`${colorScheme}: ${id}: ${target.join(' ')} ${messages}`)
      }
    }
  }
  return found
}
