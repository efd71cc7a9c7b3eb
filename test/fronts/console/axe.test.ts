/** axe-core over every page of the console, every dialog, and what is ours of /docs: no violation. */
import t from 'tap'
import type { Browser } from 'playwright-core'
import { browser as launch, noBrowser, openPage, violations } from '../../support/chromium.ts'
import { service, type Client } from '../../support/service.ts'
import { go, press } from './reader.ts'
import { serviceWithKeys } from './withKeys.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

/** A reason that is longer than the links beside it. */
const reason = 'the mail server on port 25 said after 31 ms that it takes no more from here today'

/** Every state of a message, failures with reasons, paused and not, and three kinds of schedules. */
async function filled(holdfast: Client): Promise<Record<string, string>> {
  await holdfast.call('PUT', '/queues/mail', { keepAckedSeconds: 3600, retry: { delaySeconds: 3600 } })
  const { body } = await holdfast.post('/queues/mail/messages', {
    messages: Array.from({ length: 60 }, (_, n) => ({
      body: { n, text: 'a', no: null },
      headers: { a: 'b' }
    }))
  })
  await holdfast.post('/queues/mail/messages', { body: 'later', delaySeconds: 600 })
  const { messages } = (await holdfast.post('/queues/mail/lease', { max: 5, worker: 'w' })).body
  const receipts = messages.map(({ receipt }: { receipt: string }) => receipt)
  await holdfast.post('/queues/mail/fail', {
    failures: [
      { receipt: receipts[0], reason, dead: true },
      { receipt: receipts[1], reason }
    ]
  })
  await holdfast.post('/queues/mail/ack', { receipt: receipts[2] })
  await holdfast.call('PUT', '/queues/idle', { paused: true })
  await holdfast.call('PUT', '/queues/ordered', { ordering: 'group', deadLetterQueue: 'idle' })
  await holdfast.post('/queues/ordered/messages', { messages: Array(3).fill({ body: 1, group: 'ada' }) })
  await holdfast.post('/queues/ordered/lease', {})
  const schedule = { queue: 'mail', cron: '30 6 * * 1-5', timezone: 'America/New_York', body: {} }
  await holdfast.call('PUT', '/schedules/daily', schedule)
  await holdfast.call('PUT', '/schedules/paused', { ...schedule, paused: true })
  await holdfast.post('/schedules/daily/run')
  await holdfast.call('PUT', '/topics/orders/subscriptions/mail', { pattern: 'eu.#' })
  const push = await holdfast.call('PUT', '/queues/pushed/push', { url: 'https://hooks.example' })
  if (push.status !== 201) throw new Error(push.text)
  const ids = messages.map(({ id }: { id: string }) => id)
  return { dead: ids[0], delayed: ids[1], acked: ids[2], leased: ids[3], ready: body.messages.at(-1).id }
}

/** A message that came by a topic, with a group and a unique key, and died into the queue `grave`. */
async function buried(holdfast: Client): Promise<string> {
  await holdfast.call('PUT', '/queues/risky', { deadLetterQueue: 'grave', ordering: 'group' })
  await holdfast.call('PUT', '/topics/news/subscriptions/risky', {})
  await holdfast.call('PUT', '/topics/news/subscriptions/grave', {})
  const options = { group: 'ada', routingKey: 'eu.vienna', unique: { key: 'k' } }
  await holdfast.post('/topics/news/messages', { body: 1, ...options })
  const [{ id, receipt }] = (await holdfast.post('/queues/risky/lease', {})).body.messages
  await holdfast.post('/queues/risky/fail', { receipt, reason, dead: true })
  return id
}

t.test('no violation on any page of the console', needs, async t => {
  const holdfast = await service(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.getByText('No queue yet').waitFor()
  t.strictSame(await violations(page), [], 'no queue')
  await go(page, '#/schedules')
  await page.getByText('No schedule yet').waitFor()
  t.strictSame(await violations(page), [], 'no schedule')
  const ids = await filled(holdfast)
  const died = await buried(holdfast)
  const pages: [string, string][] = [
    ['#/', 'tbody tr:nth-child(2) td.name'],
    ['#/?search=nothing', '.empty'],
    ['#/queues/mail', '.chart .u-legend'],
    ['#/queues/idle', '.empty'],
    ['#/queues/ordered', '.list .badge.ready'],
    ...['ready', 'delayed', 'leased', 'dead', 'acked'].map(
      state => [`#/queues/mail?state=${state}`, `.list .badge.${state}`] as [string, string]
    ),
    ['#/queues/mail?contains=zzz', '.empty'],
    ['#/queues/none', '.empty'],
    ...Object.values(ids).map(id => [`#/queues/mail/messages/${id}`, '.timeline'] as [string, string]),
    ['#/queues/grave', '.settings-line a[href$=news]'],
    [`#/queues/grave/messages/${died}`, 'dd a[href$=news]'],
    [`#/queues/risky/messages/${died}`, '.timeline'],
    ['#/queues/pushed', '.figures'],
    ['#/queues/mail/messages/99999999', '.empty'],
    ['#/queues/mail/messages/x', '.empty'],
    ['#/schedules', '.card'],
    ['#/topics', '.list'],
    ['#/topics/orders', '.list'],
    ['#/topics/none', '.empty'],
    ['#/nowhere', '.empty']
  ]
  for (const [hash, wanted] of pages) {
    await go(page, hash)
    await page.locator(wanted).first().waitFor()
    if (hash === '#/queues/mail') {
      await page.getByRole('heading', { name: 'Consumers' }).click()
      await page.locator('.consumers tbody tr').first().waitFor()
    }
    if (hash === '#/queues/pushed') {
      await page.getByRole('heading', { name: 'Push', exact: true }).click()
      await page.getByRole('button', { name: 'Delete push …' }).waitFor()
    }
    if (hash === '#/queues/ordered') {
      await page.getByRole('heading', { name: 'Groups' }).click()
      await page.locator('.queue-groups a').first().waitFor()
    }
    if (hash.includes('state=dead')) {
      await page.locator('.peek').first().click()
      await page.locator('.list tbody input[type=checkbox]').first().check()
    }
    t.strictSame(await violations(page), [], hash)
  }
  t.strictSame(faults, [])
})

t.test('no violation on the page of shares', needs, async t => {
  const { holdfast, secret, makeKey } = await serviceWithKeys(t)
  const key = await makeKey(['browse:*'])
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  for (const used of [key.secret, secret]) {
    await page.evaluate(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(used)})`)
    await page.reload()
    await page.locator('.top').waitFor()
    await go(page, '#/shares')
    await page
      .locator(used === secret ? '.shares .holders b' : '.note.bad')
      .first()
      .waitFor()
    t.strictSame(await violations(page), [], used === secret ? 'an admin' : 'a key that may not see it')
  }
  t.strictSame(faults, [])
})

t.test('no violation in any dialog of the console', needs, async t => {
  const holdfast = await service(t)
  const { dead } = await filled(holdfast)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  const dialogs: [string, string][] = [
    ['#/', 'New queue'],
    ['#/queues/mail', 'Enqueue'],
    ['#/queues/mail', 'Settings'],
    ['#/queues/mail', 'Pause …'],
    ['#/queues/mail', 'Delete queue …'],
    [`#/queues/mail/messages/${dead}`, 'Delete …'],
    ['#/schedules', 'New schedule'],
    ['#/topics', 'New subscription'],
    ['#/topics/orders', 'End the subscription of mail'],
    ['#/queues/mail', 'Redrive group …'],
    ['#/queues/mail', 'Retry group …'],
    ['#/schedules', 'Edit'],
    ['#/queues/pushed', 'Edit push'],
    ['#/queues/idle', 'Set up push'],
    ['#/queues/pushed', 'Delete push …'],
    ['#/', 'Keyboard shortcuts']
  ]
  for (const [hash, name] of dialogs) {
    await go(page, hash)
    if (name === 'Delete queue …') await page.locator('.menu summary').click()
    if (/ push/.test(name)) await page.getByRole('heading', { name: 'Push', exact: true }).click()
    await page.getByRole('button', { name, exact: true }).first().click()
    await page.getByRole('dialog').waitFor()
    t.strictSame(await violations(page), [], name)
    if (name === 'Settings') {
      await page.getByLabel('Attempts').fill('0')
      await press(page, 'Save')
      await page.locator('dialog .fault').waitFor()
      t.strictSame(await violations(page), [], 'a refused form')
    }
    if (name === 'Delete queue …') {
      await page.getByRole('dialog').getByRole('textbox').fill('mail')
      t.strictSame(await violations(page), [], 'a name typed')
    }
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  await go(page, '#/schedules')
  // A toast goes after seconds, so each scheme gets its own.
  for (const [scheme, name] of [
    ['light', 'Pause'],
    ['dark', 'Resume']
  ] as const) {
    await page
      .getByRole('button', { name: `${name} …`, exact: true })
      .first()
      .click()
    await press(page, name)
    await page.locator('.toast', { hasText: `${name}d` }).waitFor()
    t.strictSame(await violations(page, 'document', [scheme]), [], `a toast, ${scheme}`)
  }
  t.strictSame(faults, [])
})

t.test('no violation where the console asks for a key', needs, async t => {
  const { holdfast } = await serviceWithKeys(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.getByLabel('API key').waitFor()
  t.strictSame(await violations(page), [])
  await page.getByLabel('API key').fill('hf_wrong')
  await press(page, 'Sign in')
  await page.getByText('The API key is not known here').waitFor()
  t.strictSame(await violations(page), [], 'refused')
  t.strictSame(faults, [])
})

t.test('no violation in what is ours of /docs', needs, async t => {
  const holdfast = await service(t)
  const { page } = await openPage(browser, `${holdfast.url}/docs`)
  await page.locator('.opblock').first().waitFor()
  await page.locator('.topbar img').waitFor()
  t.strictSame(await violations(page, "['.topbar-wrapper .link', '.information-container .description']"), [])
})
