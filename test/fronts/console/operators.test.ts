/** What operators look at in the console: failures by reason, consumers, commands, shares. */
import Fastify from 'fastify'
import t from 'tap'
import type { Browser } from 'playwright-core'
import { consoleRoutes } from '../../../src/fronts/console/routes.ts'
import { shareOf } from '../../support/callers.ts'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { endpoint } from '../../support/endpoint.ts'
import { service, type Client } from '../../support/service.ts'
import { holds, press } from './reader.ts'
import { serviceWithKeys } from './withKeys.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

/** Makes messages fail for these reasons. */
async function fail(holdfast: Client, queue: string, reasons: string[], headers = {}): Promise<void> {
  const path = `/queues/${queue}`
  const messages = reasons.map((_, body) => ({ body }))
  await holdfast.post(`${path}/messages`, { messages }, headers)
  const leased = await holdfast.post(`${path}/lease`, { max: reasons.length, worker: 'ada' }, headers)
  const failures = leased.body.messages.map(({ receipt }: { receipt: string }, n: number) => ({
    receipt,
    reason: reasons[n]
  }))
  await holdfast.post(`${path}/fail`, { failures }, headers)
}

t.test('failures are grouped by reason, and a group is redriven', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { maxAttempts: 1 })
  const evil = 'no user "<img src=x onerror=alert(1)>"'
  await fail(holdfast, 'mail', ['timeout after 31 ms', evil, 'timeout after 47 ms'])
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  const group = page.locator('.groups tbody tr', { hasText: 'timeout after # ms' })
  await group.waitFor()
  t.equal(await group.locator('td').nth(1).textContent(), '2')
  t.equal(await group.getByRole('link', { name: 'all with' }).textContent(), 'all with “timeout after”')
  await page.locator('.groups', { hasText: evil }).waitFor()
  await group.getByRole('button', { name: 'Redrive group …' }).click()
  await press(page, 'Redrive 2 messages')
  await page.getByText('2 messages redriven.').waitFor()
  await group.waitFor({ state: 'detached' })
  t.match((await holdfast.get('/queues/mail')).body.counts, { ready: 2, dead: 1 })

  await page.getByRole('heading', { name: 'Consumers' }).click()
  await page.locator('.consumers tbody tr', { hasText: 'ada' }).waitFor()
  await page.getByText('this queue keeps no acked messages').waitFor()
  t.strictSame(faults, [])
})

t.test('groups are shown with what holds them up, and lead to their messages', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { ordering: 'group' })
  const messages = ['ada', 'bob', 'ada', 'ada'].map(group => ({ body: 1, group }))
  const { body } = await holdfast.post('/queues/mail/messages', { messages })
  await holdfast.post('/queues/mail/lease', { max: 1 })
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await page.getByRole('heading', { name: 'Groups' }).click()
  const row = page.locator('.queue-groups tbody tr', { hasText: 'ada' })
  t.match((await row.textContent())?.replace(/\s+/g, ' '), `ada21message ${body.messages[0].id}`)
  t.match(await row.locator('td').last().textContent(), /leased.* until/s)
  const listed = page.locator('.list tbody tr')
  await listed.nth(3).waitFor()
  await row.getByRole('link', { name: 'ada' }).click()
  await listed.nth(3).waitFor({ state: 'detached' })
  await listed.nth(2).waitFor()
  t.equal(await listed.count(), 3)
  await holds(page.getByLabel('Group', { exact: true }), 'ada')
  const [first, , second] = body.messages
  await page.locator('a.row-link', { hasText: second.id }).click()
  const link = page.locator('.why').getByRole('link', { name: `Message ${first.id}` })
  t.match(await link.getAttribute('href'), `/messages/${first.id}`)
  t.match(await page.locator('dl.pairs').getByRole('link', { name: 'ada' }).getAttribute('href'), 'group=ada')
  t.strictSame(faults, [])
})

t.test('limits are shown with what is free of them, and when the next lease is due', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', {
    maxLeased: 50,
    rate: { messages: 1, perSeconds: 1000, burst: 2 },
    maxLeasedPerGroup: 3,
    ratePerGroup: { messages: 1, perSeconds: 1000 }
  })
  const messages = ['ada', 'ada', 'bob'].map(group => ({ body: 1, group }))
  await holdfast.post('/queues/mail/messages', { messages })
  await holdfast.post('/queues/mail/lease', { max: 2 })
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  const figure = (title: string) => page.locator('.figure', { hasText: title })
  await figure('Leased, of at most').getByText('2 / 50').waitFor()
  await figure('Leases free now')
    .getByText(/^0\s*next \d{4}-\d\d-\d\d /)
    .waitFor()
  const line = await page.locator('.settings-line').first().textContent()
  t.match(line, 'at most 3 of a group · at most 1 lease in 16 min')
  await page.getByRole('heading', { name: 'Groups' }).click()
  const row = page.locator('.queue-groups tbody tr', { hasText: 'ada' })
  await row.getByText(/^Its rate is used up until \d{4}/).waitFor()
  t.match(await row.locator('td').nth(2).textContent(), /^\s*1 \/ 3\s*$/)
  t.match(await holdfast.get('/queues/mail'), { body: { limits: { tokens: 0, nextTokenAt: /Z$/ } } })
  await holdfast.call('PUT', '/queues/mail', { rate: { messages: 1_000_000, perSeconds: 1 } })
  await figure('Leases free now')
    .getByText(/^[1-9]/)
    .waitFor()
  t.strictSame(faults, [])
})

t.test('a message with a unique key replaces, and a queue shows what fills it', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/orders', { deadLetterQueue: 'lost' })
  await holdfast.call('PUT', '/topics/news/subscriptions/lost', {})
  await holdfast.post('/queues/other/messages', { body: 1 })
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/lost`)
  await page.getByText('Dead messages come from').getByRole('link', { name: 'orders' }).waitFor()
  await page.getByText('Subscribes to').getByRole('link', { name: 'news' }).waitFor()
  const enqueue = async (kind: 'JSON' | 'Text', onConflict: string) => {
    await press(page, 'Enqueue')
    await page.getByRole('radio', { name: kind }).click()
    await page.getByRole('textbox', { name: 'Body' }).fill('1')
    await page.getByLabel('Unique key').fill('k')
    await page.getByLabel('A message with this key').selectOption(onConflict)
    await page.getByRole('dialog').getByRole('button', { name: 'Enqueue' }).click()
  }
  await enqueue('JSON', 'keep')
  await page.getByText(/^Message \d+ enqueued/).waitFor()
  await enqueue('Text', 'replace')
  await page.getByText(/^Message \d+ replaced/).waitFor()
  await enqueue('JSON', 'keep')
  await page.getByText(/has this key already/).waitFor()
  const { messages } = (await holdfast.get('/queues/lost/messages')).body
  t.match(messages, [{ contentType: /^text/ }], 'the text took the place of the JSON')
  t.equal(messages.length, 1)
  t.strictSame(faults, [])
})

t.test('each action is copied as the command for what it sends, without the key', needs, async t => {
  const { holdfast, secret, admin } = await serviceWithKeys(t)
  await holdfast.call('PUT', '/queues/mail', { maxAttempts: 1 }, admin)
  await fail(holdfast, 'mail', ["it's 1", "it's 2"], admin)
  const { curlOf } = await import(new URL('../../../src/fronts/console/pages/shell.js', import.meta.url).href)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.evaluate(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(secret)})`)
  await page.reload()
  const dialog = page.locator('dialog')

  /** Copies the command of the open dialog, then presses the button, and compares. `next` opens after it. */
  const compare = async (yes: string, next?: string) => {
    await dialog.getByRole('button', { name: 'Copy as curl' }).click()
    await dialog.getByText(/^Copied/).waitFor()
    const command = await page.evaluate('navigator.clipboard.readText()')
    const [sent] = await Promise.all([
      page.waitForRequest(request => request.method() !== 'GET'),
      dialog.getByRole('button', { name: yes, exact: true }).click()
    ])
    const body = sent.postData() ?? undefined
    const type = sent.headers()['content-type']
    const headers = type === undefined ? {} : { 'content-type': type }
    const path = sent.url().slice(holdfast.url.length)
    t.equal(command, curlOf({ method: sent.method(), path, body, headers }, holdfast.url, true), yes)
    t.notMatch(command, secret)
    if (next === undefined) await dialog.waitFor({ state: 'detached' })
    else await page.getByRole('dialog', { name: next }).waitFor()
  }

  await press(page, 'Enqueue')
  await page.getByLabel('Body', { exact: true }).fill(`{"it's": 1.0}`)
  await compare('Enqueue')
  await press(page, 'Enqueue')
  await page.getByLabel('Text', { exact: true }).check()
  await page.getByLabel('Body', { exact: true }).fill("@it's\n$HOME")
  await page.getByLabel('Priority').fill('7')
  await compare('Enqueue')
  await press(page, 'Settings')
  await page.getByLabel('Attempts').fill('2')
  await page.getByLabel('Rate, messages').fill('100')
  await page.getByLabel('Rate, per seconds').fill('60')
  await compare('Save')
  await press(page, 'Redrive group …')
  await compare('Redrive 2 messages')
  await press(page, 'Pause …')
  await compare('Pause')
  await page.evaluate(`location.hash = '#/schedules'`)
  await press(page, 'New schedule')
  await page.getByLabel('Name').fill('daily')
  await page.getByLabel('Queue').fill('mail')
  await compare('Create')
  await press(page, 'Run now …')
  await compare('Run now')
  await press(page, 'Pause …')
  await compare('Pause')
  await press(page, 'Resume …')
  await compare('Resume')
  await press(page, 'Delete …')
  await compare('Delete schedule')
  await page.evaluate(`location.hash = '#/topics'`)
  await press(page, 'New subscription')
  await page.getByLabel('Topic').fill('news')
  await page.getByLabel('Queue').fill('mail')
  await page.getByLabel('Pattern').fill("it's.#")
  await compare('Subscribe')
  await page.evaluate(`location.hash = '#/queues/mail'`)
  await page.getByRole('heading', { name: 'Push', exact: true }).click()
  await press(page, 'Set up push')
  await page.getByLabel('URL').fill('https://hooks.example/a?b=c&d')
  await compare('Save', 'Secret of mail')
  await press(page, 'I have copied it')
  await press(page, 'Delete push …')
  await compare('Delete push')
  t.strictSame(faults, [])
})

const share = { name: 'leases', total: 10, held: 3, refused: 1, callers: [{ id: 'k1', held: 3 }] }

t.test('an admin sees who holds how much of each bound, by the names of keys', needs, async t => {
  const { holdfast, secret, makeKey } = await serviceWithKeys(t)
  const { id } = await makeKey(['lease:mail'])
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.evaluate(`sessionStorage.setItem('holdfast.key', ${JSON.stringify(secret)})`)
  const rights = { signedIn: true, admin: true, shares: true, rights: {} }
  await page.route('**/console/rights', route => route.fulfill({ json: rights }))
  const callers = [
    { id, held: 2 },
    { id: 'nobody', held: 1 }
  ]
  await page.route('**/console/shares', route => route.fulfill({ json: { shares: [{ ...share, callers }] } }))
  await page.reload()
  await page.getByRole('link', { name: 'Shares' }).click()
  const row = page.locator('.shares tbody tr', { hasText: 'leases' })
  await row.waitFor()
  t.strictSame(await row.locator('li').allTextContents(), ['limited 2', 'nobody 1'])
  t.strictSame(
    (await row.locator('td.n').allTextContents()).map(text => text.trim()),
    ['3', '10', '1']
  )
  t.strictSame(faults, [])
})

t.test('the shares are served as they are told, and are not kept by a browser', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const nothing = async () => new Map()
  const sources = {
    overview: async () => ({ atSeconds: 0, leftOut: 0, rows: [] }),
    oldestReady: nothing,
    sparks: nothing,
    onError: () => {},
    shares: async () => [share]
  }
  await consoleRoutes(app, sources, shareOf(10))
  const route = await app.inject('/console/shares')
  t.strictSame(route.json(), { shares: [share] })
  t.equal(route.headers['cache-control'], 'no-store')
})

t.test('a push is set up, tested, shown with its deliveries, and deleted', needs, async t => {
  const holdfast = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
  const hook = await endpoint(t, ({ body }) =>
    body === '"bad"' ? { status: 400, body: '<b>not this</b>' } : { status: 202 }
  )
  await holdfast.call('PUT', '/queues/mail')
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await page.getByRole('heading', { name: 'Push' }).click()
  await page.getByRole('button', { name: 'Set up push' }).click()
  await page.getByLabel('URL').fill('nowhere')
  await press(page, 'Save')
  await page.getByText('URL must be a URL such as').waitFor()
  await page.getByLabel('URL').fill(hook.url)
  await press(page, 'Save')
  await page.getByText(/^whsec_/).waitFor()
  await press(page, 'I have copied it')
  await page.getByText(`POST ${hook.url}`).waitFor()

  await page.getByRole('button', { name: 'Test …' }).click()
  await press(page, 'Send test')
  await page.getByText('The endpoint answered 202').waitFor()
  await holdfast.post('/queues/mail/messages', { body: 'bad' })
  const row = page.locator('.deliveries tbody tr', { hasText: 'HTTP 400: <b>not this</b>' })
  await row.first().waitFor()
  await page.getByRole('button', { name: 'Replace secret …' }).click()
  await press(page, 'Replace secret')
  await page.getByText(/^whsec_/).waitFor()
  await press(page, 'I have copied it')
  await page.getByRole('button', { name: 'Delete push …' }).click()
  await press(page, 'Delete push')
  await page.getByRole('button', { name: 'Set up push' }).waitFor()
  t.equal((await holdfast.get('/queues/mail/push')).status, 404)
  t.strictSame(
    faults.filter(fault => !/404|400/.test(String(fault))),
    []
  )
})
