/** The console protects: what a press of Enter may do, and where the keyboard is after each step. */
import t from 'tap'
import type { Browser } from 'playwright-core'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service } from '../../support/service.ts'
import { focusOn, go, press } from './reader.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

/** A queue with two dead messages and a delayed one, and a schedule. */
async function filled(t: Parameters<typeof service>[0]) {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { maxAttempts: 5 })
  const { body: delayed } = await holdfast.post('/queues/mail/messages', { body: 3, delaySeconds: 600 })
  await holdfast.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }] })
  const { messages } = (await holdfast.post('/queues/mail/lease', { max: 2 })).body
  await holdfast.post('/queues/mail/fail', {
    failures: messages.map(({ receipt }: { receipt: string }) => ({ receipt, dead: true }))
  })
  await holdfast.call('PUT', '/schedules/daily', { queue: 'mail', cron: '30 6 * * 1-5', body: {} })
  return { holdfast, dead: messages[0].id as string, delayed: delayed.id as string }
}

t.test('Enter and Enter change nothing in any confirmation, and the focus goes back', needs, async t => {
  const { holdfast, dead, delayed } = await filled(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  const whole = async () => {
    const [queue, messages, schedule] = await Promise.all(
      ['/queues/mail', '/queues/mail/messages', '/schedules/daily'].map(holdfast.get)
    )
    return [
      queue!.body.settings,
      queue!.body.counts,
      messages!.text,
      schedule!.body.lastRun,
      schedule!.body.paused
    ]
  }
  const before = await whole()
  const confirmations: [string, string[], string][] = [
    ['#/queues/mail', ['Pause …'], 'Cancel'],
    ['#/queues/mail', ['Redrive dead …'], 'Cancel'],
    ['#/queues/mail', ['Delete all messages …'], 'Keep'],
    ['#/queues/mail', ['Delete queue …'], 'Keep'],
    ['#/queues/mail?state=dead', ['Redrive all …'], 'Cancel'],
    ['#/queues/mail?state=dead', ['Delete all …'], 'Keep'],
    ['#/queues/mail?state=delayed', ['Retry all now …'], 'Cancel'],
    [`#/queues/mail/messages/${dead}`, ['Redrive …'], 'Cancel'],
    [`#/queues/mail/messages/${dead}`, ['Delete …'], 'Keep'],
    [`#/queues/mail/messages/${delayed}`, ['Retry now …'], 'Cancel'],
    ['#/schedules', ['Run now …'], 'Cancel'],
    ['#/schedules', ['Pause …'], 'Cancel'],
    ['#/schedules', ['Delete …'], 'Keep']
  ]
  for (const [hash, [name], safe] of confirmations) {
    await go(page, hash)
    const button = page.getByRole('button', { name: name!, exact: true })
    if (/Delete (all messages|queue)/.test(name!)) {
      await page.locator('.menu').waitFor()
      await page.evaluate("document.querySelector('.menu').open = true")
    }
    await button.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await focusOn(page, safe)
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await focusOn(page, name!)
    t.pass(`${hash} ${name}`)
  }
  t.strictSame(await whole(), before)
  t.strictSame(faults, [])
})

t.test('a queue is deleted only after its name is typed', needs, async t => {
  const { holdfast } = await filled(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await page.locator('.menu summary').click()
  await press(page, 'Delete queue …')
  const button = page.getByRole('button', { name: 'Delete queue', exact: true })
  for (const typed of ['', 'mai', 'MAIL', 'mail ']) {
    await page.getByLabel('Type mail to delete it').fill(typed)
    t.ok(await button.isDisabled(), `“${typed}”`)
    await page.keyboard.press('Enter')
  }
  t.equal((await holdfast.get('/queues/mail')).status, 200)
  await page.getByLabel('Type mail to delete it').fill('mail')
  await button.click()
  await page.locator('h1', { hasText: 'Queues' }).waitFor()
  await focusOn(page, 'Queues')
  t.equal((await holdfast.get('/queues/mail')).status, 404)
  t.strictSame(faults, [])
})

t.test('the focus goes to the heading of a new page, and is never lost', needs, async t => {
  const { holdfast, dead } = await filled(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.locator('td.name a', { hasText: 'mail' }).click()
  await focusOn(page, 'mail')
  await page.locator('td.name a', { hasText: dead }).click()
  await focusOn(page, `Message ${dead}`)
  // The button that was pressed goes with the state of the message.
  await press(page, 'Redrive …')
  await press(page, 'Redrive 1 message')
  await page.locator('.heading .badge', { hasText: 'ready' }).waitFor()
  await focusOn(page, `Message ${dead}`)
  await page.getByRole('link', { name: 'Schedules' }).click()
  await focusOn(page, 'Schedules')
  for (const close of ['Escape', 'button'] as const) {
    await press(page, 'New schedule')
    await page.getByRole('dialog').waitFor()
    if (close === 'Escape') await page.keyboard.press('Escape')
    else await press(page, 'Close')
    await focusOn(page, 'New schedule')
  }
  // A refused form keeps the focus where it was.
  await press(page, 'Edit')
  await page.getByLabel('Cron').fill('never')
  await page.keyboard.press('Enter')
  await page.locator('dialog [role=alert]').waitFor()
  t.equal(await page.evaluate('document.activeElement.name'), 'cron')
  await press(page, 'Save')
  t.ok(await page.evaluate("document.activeElement.closest('dialog') !== null"))
  t.strictSame(faults, [])
})

t.test('a page of rows has one verb for what goes: Delete', needs, async t => {
  const { holdfast, dead } = await filled(t)
  const { page } = await openPage(browser, `${holdfast.url}/console`)
  for (const hash of ['#/queues/mail?state=dead', `#/queues/mail/messages/${dead}`, '#/schedules']) {
    await go(page, hash)
    await page
      .getByRole('button', { name: /^Delete/, includeHidden: true })
      .first()
      .waitFor({ state: 'attached' })
    t.notMatch(await page.locator('main').innerText(), /purge|cancel|remove|discard/i, hash)
  }
})
