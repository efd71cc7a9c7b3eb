/** The console goes back: to the same rows, the same scroll position, the filters and tabs before. */
import t from 'tap'
import type { Browser } from 'playwright-core'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service } from '../../support/service.ts'
import { focusOn, holds, names, press, until } from './reader.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

t.test(
  'Back from a message finds the rows that were loaded, the scroll position and the link',
  needs,
  async t => {
    const holdfast = await service(t)
    await holdfast.post('/queues/mail/messages', {
      messages: Array.from({ length: 400 }, (_, n) => ({ body: { n } }))
    })
    const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
    const rows = page.locator('.list tbody tr')
    for (let shown = 50; shown < 300; shown += 50) {
      await rows.nth(shown - 1).waitFor()
      await press(page, `Load more (${shown} messages shown)`)
    }
    await rows.nth(299).waitFor()
    const before = await names(page)
    const link = rows.nth(250).locator('td.name a')
    const id = (await link.textContent())!
    for (const way of ['link', 'again'] as const) {
      await link.scrollIntoViewIfNeeded()
      const y = await page.evaluate('scrollY')
      t.ok((y as number) > 5000, 'far down')
      await link.click()
      await focusOn(page, `Message ${id}`)
      t.equal(await page.evaluate('scrollY'), 0, 'a new page begins at its top')
      await page.goBack()
      await rows.nth(299).waitFor()
      await focusOn(page, id)
      await until(page, `Math.abs(scrollY - ${y}) < 3`)
      t.strictSame(await names(page), before, way)
    }
    t.strictSame(faults, [])
  }
)

t.test('each tab, filter, order and page is a step that Back takes back', needs, async t => {
  const holdfast = await service(t)
  await holdfast.post('/queues/mail/messages', {
    messages: [{ body: 'car' }, { body: 'boat' }, { body: 'cargo', delaySeconds: 600 }]
  })
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  const at = (query: string) => until(page, `location.hash.endsWith(${JSON.stringify(query)})`)
  await press(page, 'Ready')
  await at('#/?sort=ready&order=down')
  await page.goBack()
  await until(page, "document.querySelector('th[aria-sort]')?.textContent.trim() === 'Queue'")
  await page.locator('td.name a').click()
  const field = page.getByLabel('Body contains')
  const rows = page.locator('.list tbody tr')
  await rows.nth(2).waitFor()
  await press(page, /^Delayed/)
  await at('state=delayed')
  await press(page, /^All/)
  await at('/mail')
  await field.pressSequentially('car', { delay: 50 })
  await at('contains=car')
  await rows.nth(2).waitFor({ state: 'detached' })
  await field.pressSequentially('go', { delay: 50 })
  await at('contains=cargo')
  await field.fill('boat')
  await at('contains=boat')
  await page.goBack()
  await at('contains=cargo')
  await holds(field, 'cargo')
  await page.goBack()
  await at('/mail')
  await holds(field, '')
  await rows.nth(2).waitFor()
  await page.goBack()
  await at('state=delayed')
  await rows.nth(1).waitFor({ state: 'detached' })
  await until(page, "document.querySelector('.tabs [aria-pressed=true]').innerText === 'Delayed 1'")
  await page.goForward()
  await page.goForward()
  await at('contains=cargo')
  await holds(field, 'cargo')
  t.strictSame(faults, [])
})
