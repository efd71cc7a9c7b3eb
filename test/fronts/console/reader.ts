/** What a reader of the console does, in few words. */
import type { Locator, Page } from 'playwright-core'

export const press = (page: Page, name: string | RegExp) =>
  page.getByRole('button', typeof name === 'string' ? { name, exact: true } : { name }).click()

export const go = async (page: Page, hash: string): Promise<void> => {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
}

export const names = (page: Page) => page.locator('tbody td.name a').allTextContents()

const patienceMs = 20_000

/** Waits until an expression is true in the page. The console's policy forbids `waitForFunction`. */
export async function until(page: Page, expression: string): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await page.evaluate(expression));) {
    if (Date.now() > end) throw new Error(`It stays false: ${expression}`)
    await page.evaluate('new Promise(requestAnimationFrame)')
  }
}

/** Waits until a field holds this text. A field follows a moment after the address does. */
export async function holds(field: Locator, text: string): Promise<void> {
  for (const end = Date.now() + patienceMs; (await field.inputValue()) !== text;) {
    if (Date.now() > end) throw new Error(`The field never holds: ${text}`)
  }
}

/** Waits until the focus is on an element with this text: a button, a link, a heading. */
export const focusOn = (page: Page, text: string) =>
  until(page, `document.activeElement?.textContent.trim() === ${JSON.stringify(text)}`)
