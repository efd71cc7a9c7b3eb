/** The console in a real browser: what its pages show, do, refuse and leave out. */
import t from 'tap'
import type { Browser } from 'playwright-core'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service } from '../../support/service.ts'
import { go, names, press } from './reader.ts'
import { serviceWithKeys } from './withKeys.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

t.test('the list of queues follows an enqueue by itself, and is searched and sorted', needs, async t => {
  const holdfast = await service(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.getByText('No queue yet').waitFor()
  t.match(
    await page.locator('.command code').textContent(),
    `curl -X POST ${holdfast.url}/queues/mail/messages`,
    'an empty console says how to begin'
  )
  await holdfast.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }] })
  const mail = page.locator('tr', { hasText: 'mail' })
  await mail.waitFor()
  t.equal(await mail.locator('td').nth(1).textContent(), '2')
  await holdfast.post('/queues/mail/messages', { body: 3 })
  await mail.locator('td', { hasText: /^3$/ }).waitFor()
  await holdfast.call('PUT', '/queues/mail', { paused: true })
  await mail.getByText('paused').waitFor()

  for (const queue of ['orders', 'orders-refunds', 'constructor']) {
    await holdfast.post(`/queues/${queue}/messages`, { messages: Array(queue.length).fill({ body: 0 }) })
  }
  await press(page, 'Ready')
  await page.locator('tbody tr:nth-child(4)').waitFor()
  t.strictSame(await names(page), ['orders-refunds', 'constructor', 'orders', 'mail'])
  t.equal(await page.locator('th', { hasText: 'Ready' }).first().getAttribute('aria-sort'), 'descending')
  await page.keyboard.press('/')
  await page.keyboard.type('ORDERS')
  await page.locator('tbody tr:nth-child(3)').waitFor({ state: 'detached' })
  t.strictSame(await names(page), ['orders-refunds', 'orders'])
  await page.keyboard.type('<img src=x onerror=alert(1)>')
  await page.getByText('none with “ORDERS<img src=x onerror=alert(1)>” in its name').waitFor()
  await page.getByRole('searchbox').fill('__proto__')
  await page.getByText('none with “__proto__” in its name').waitFor()
  await page.getByRole('searchbox').fill('')
  // By keyboard alone: from row to row, into a queue, to the shortcuts and back.
  await page.locator('tbody tr:nth-child(4)').waitFor()
  await page.locator('h1').click()
  for (const key of ['j', 'j', 'k', 'Enter']) await page.keyboard.press(key)
  await page.locator('h1', { hasText: 'orders-refunds' }).waitFor()
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  for (const key of ['g', 'q']) await page.keyboard.press(key)
  await page.locator('h1', { hasText: 'Queues' }).waitFor()
  t.strictSame(faults, [])
})

t.test('a message is enqueued exactly as it is typed, and shown with every digit', needs, async t => {
  const holdfast = await service(t)
  const body = '{"n":12345678901234567890,"price":1.0,"a":1,"a":2,"s":"\\u003cb\\u003e"}'
  await holdfast.call('PUT', '/queues/mail', {})
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await press(page, 'Enqueue')
  const send = () => page.locator('dialog').getByRole('button', { name: 'Enqueue' }).click()
  await page.getByLabel('Body', { exact: true }).fill('{"n": ')
  await send()
  await page.getByText('Body is not JSON').waitFor()
  await page.getByLabel('Body', { exact: true }).fill(body)
  await page.getByLabel('Headers').fill('trace: t-1')
  await page.getByLabel('Priority').fill('12')
  await send()
  await page.getByText('Priority must be at most 9.').waitFor()
  await page.getByLabel('Priority').fill('7')
  await send()
  await page.getByText(/Message \d+ enqueued/).waitFor()
  const stored = await holdfast.get('/queues/mail/messages')
  t.ok(stored.text.includes(`"body":${body},`), 'exactly as typed')
  t.match(stored.body.messages[0], { headers: { trace: 't-1' }, priority: 7 })
  await page.locator('.peek').click()
  t.equal(
    await page.locator('.opened pre').textContent(),
    [
      '{',
      '  "n": 12345678901234567890,',
      '  "price": 1.0,',
      '  "a": 1,',
      '  "a": 2,',
      '  "s": "<b>"',
      '}'
    ].join('\n')
  )
  t.strictSame(faults, [])
})

t.test('the settings of a queue are changed, and it is paused and resumed', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { maxDepth: 10 })
  const settings = async () => (await holdfast.get('/queues/mail')).body.settings
  const before = await settings()
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await press(page, 'Settings')
  await page.getByLabel('Attempts').fill('0')
  await press(page, 'Save')
  await page.getByText('Attempts must be at least 1, or left empty.').waitFor()
  await page.getByLabel('Attempts').fill('1')
  await page.getByLabel('Retry delay').selectOption('linear')
  await page.getByLabel('random').uncheck()
  await page.getByLabel('First delay').fill('2.5')
  await page.getByLabel('Maximum depth').fill('')
  await page.getByLabel('Tags').fill('team: mail\nowner: ada')
  await press(page, 'Save')
  await page.getByText('Settings saved.').waitFor()
  t.strictSame(await settings(), {
    ...before,
    maxAttempts: 1,
    retry: { ...before.retry, strategy: 'linear', delaySeconds: 2.5, jitter: false },
    maxDepth: null,
    tags: { team: 'mail', owner: 'ada' }
  })
  await press(page, 'Pause …')
  await press(page, 'Pause')
  await page.getByRole('button', { name: 'Resume', exact: true }).waitFor()
  t.equal((await settings()).paused, true)
  await press(page, 'Resume')
  await page.getByRole('button', { name: 'Pause …', exact: true }).waitFor()
  t.equal((await settings()).paused, false)
  t.strictSame(faults, [])
})

t.test('dead messages are redriven and deleted, and each question says how many', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { maxAttempts: 1 })
  await holdfast.post('/queues/mail/messages', {
    messages: Array.from({ length: 6 }, (_, n) => ({ body: { n } }))
  })
  const { messages } = (await holdfast.post('/queues/mail/lease', { max: 6, worker: 'w' })).body
  await holdfast.post('/queues/mail/fail', {
    failures: messages.map(({ receipt }: { receipt: string }, n: number) => ({
      receipt,
      reason: n < 4 ? 'timeout' : 'no such user'
    }))
  })
  const counts = async () => (await holdfast.get('/queues/mail')).body.counts
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await press(page, /^Dead/)
  await page.locator('.list tbody tr:nth-child(6)').waitFor()
  for (const n of [0, 2]) await page.locator('.list tbody input[type=checkbox]').nth(n).check()
  await press(page, 'Redrive 2')
  await press(page, 'Redrive 2 messages')
  await page.getByText('2 messages redriven.').waitFor()
  t.match(await counts(), { dead: 4, ready: 2 })

  await page.getByLabel('Last reason contains').fill('no such')
  await page.locator('.list tbody tr:nth-child(3)').waitFor({ state: 'detached' })
  await page.locator('.list tbody tr:nth-child(2)').waitFor()
  await press(page, 'Redrive all …')
  await page.getByRole('dialog', { name: 'Redrive 2 dead messages?' }).waitFor()
  t.equal((await counts()).dead, 4, 'counted, and nothing changed')
  await press(page, 'Redrive 2 dead messages')
  await page.getByText('2 messages redriven.').waitFor()
  await page.getByText('Nothing matches').waitFor()
  t.match(await counts(), { dead: 2, ready: 4 })
  await press(page, 'Clear')
  await page.locator('.list tbody tr:nth-child(2)').waitFor()
  await press(page, 'Delete all …')
  await press(page, 'Delete 2 dead messages')
  await page.getByText('2 messages deleted.').waitFor()
  t.match(await counts(), { dead: 0, ready: 4 })
  t.strictSame(faults, [])
})

t.test(
  'whatever messages hold is shown as text, and a message shows its history and why it waits',
  needs,
  async t => {
    const holdfast = await service(t)
    const evil = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
    const {
      body: { id }
    } = await holdfast.post('/queues/mail/messages', {
      body: { evil },
      headers: { [evil]: evil, __proto__: 'x' }
    })
    const {
      messages: [{ receipt }]
    } = (await holdfast.post('/queues/mail/lease', { worker: evil })).body
    await holdfast.post('/queues/mail/fail', { receipt, reason: evil, delaySeconds: 600 })
    const { body: text } = await holdfast.post('/queues/mail/messages', evil, { 'content-type': 'text/html' })
    const { body: bytes } = await holdfast.post(
      '/queues/mail/messages',
      new Uint8Array([0, 255, 60, 98, 62]),
      { 'content-type': 'image/png' }
    )
    const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
    await page.locator('.reason', { hasText: evil }).waitFor()
    for (const peek of await page.locator('.peek').all()) await peek.click()
    await page.locator('.opened').nth(2).waitFor()
    t.match(await page.locator('.opened').nth(1).textContent(), evil)
    t.match(await page.locator('.opened').nth(2).textContent(), '00 ff 3c 62 3e')
    await page.locator('td.name a', { hasText: id }).click()
    await page.getByText('Attempt 1: failed').waitFor()
    t.match(await page.locator('.timeline').textContent(), `Held by ${evil} for`)
    t.equal(await page.locator('.timeline pre').textContent(), evil)
    t.match(await page.locator('.timeline').textContent(), /Enqueued.*Attempt 1: failed.*Ready again/)
    t.match(await page.locator('.why').textContent(), /It is tried again at .* after attempt 1 of 5/)
    await press(page, 'Retry now …')
    await press(page, 'Retry now 1 message')
    await page.locator('.heading .badge', { hasText: 'ready' }).waitFor()
    await press(page, 'Delete …')
    await press(page, 'Delete 1 message')
    await page.getByText('This message is gone').waitFor()
    for (const other of [text.id, bytes.id]) {
      await go(page, `#/queues/mail/messages/${other}`)
      await page.locator('h1', { hasText: other }).waitFor()
      await page.locator('.body pre').waitFor()
    }
    await go(page, '#/queues/__proto__/messages/x')
    await page.getByRole('alert').waitFor()
    t.equal(await page.evaluate('window.hurt'), undefined)
    t.strictSame(faults, [])
  }
)

t.test('a queue is subscribed to a topic, and its subscription ended', needs, async t => {
  const holdfast = await service(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/topics`)
  await press(page, 'New subscription')
  await page.getByLabel('Topic').fill('orders')
  await page.getByLabel('Queue').fill('invoices')
  await page.getByLabel('Pattern').fill('eu..x')
  await press(page, 'Subscribe')
  await page.locator('dialog .fault').waitFor()
  await page.getByLabel('Pattern').fill('eu.#')
  await press(page, 'Subscribe')
  await page.getByText('invoices is subscribed to orders with eu.#.').waitFor()
  await page.getByRole('link', { name: 'orders' }).click()
  await page.getByRole('cell', { name: 'eu.#' }).waitFor()
  const { body } = await holdfast.post('/topics/orders/messages', { body: 1, routingKey: 'eu.x' })
  await page.goto(`${holdfast.url}/console#/queues/invoices/messages/${body.messages[0].id}`)
  await page.getByText('orders · eu.x').waitFor()
  await page.goto(`${holdfast.url}/console#/topics/orders`)
  await press(page, 'End the subscription of invoices')
  await press(page, 'End subscription')
  await page.getByText('goes nowhere').waitFor()
  t.equal((await holdfast.get('/topics/orders')).status, 404)
  t.strictSame(faults, [])
})

t.test('schedules are made, paused, run and deleted', needs, async t => {
  const holdfast = await service(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console/#/schedules`)
  await page.getByText('No schedule yet').waitFor()
  await press(page, 'New schedule')
  await page.getByLabel('Name').fill('daily')
  await page.getByLabel('Queue').fill('reports')
  await page.getByLabel('Cron').fill('* * * * * *')
  await page.getByLabel('Body').fill('{"n": 1.0}')
  await press(page, 'Create')
  await page.locator('dialog [role=alert]').waitFor()
  await page.getByLabel('Cron').fill('30 6 * * 1-5')
  await press(page, 'Create')
  await page.locator('.card', { hasText: 'daily' }).waitFor()
  await press(page, 'Show the next 5')
  await page.locator('.runs li:nth-child(5)').waitFor()
  await press(page, 'Run now …')
  await press(page, 'Run now')
  await page.getByText('daily has run.').waitFor()
  t.ok(
    (await holdfast.get('/queues/reports/messages')).text.includes('"body":{"n": 1.0},'),
    'exactly as typed'
  )
  await press(page, 'Pause …')
  await press(page, 'Pause')
  await page.getByText('No runs while it is paused.').waitFor()
  await press(page, 'Edit')
  t.equal(await page.getByLabel('Body').inputValue(), '{"n": 1.0}')
  await page.getByLabel('Cron').fill('0 7 * * *')
  await press(page, 'Save')
  await page.locator('.cron', { hasText: '0 7 * * *' }).waitFor()
  t.match((await holdfast.get('/schedules/daily')).body, { cron: '0 7 * * *', paused: true })
  await press(page, 'Delete …')
  await press(page, 'Delete schedule')
  await page.getByText('No schedule yet').waitFor()
  t.strictSame(faults, [])
})

t.test('the console asks for a key, and again when the key is revoked', needs, async t => {
  const { holdfast, admin, makeKey } = await serviceWithKeys(t)
  for (const queue of ['orders', 'mail', 'hidden']) {
    await holdfast.post(`/queues/${queue}/messages`, { body: queue }, admin)
  }
  const key = await makeKey(['browse:orders', 'browse:mail', 'manage:mail'])
  const { page, faults } = await openPage(browser, `${holdfast.url}/console`)
  await page.getByLabel('API key').fill('hf_wrong')
  await press(page, 'Sign in')
  await page.getByText('The API key is not known here').waitFor()
  await page.getByLabel('API key').fill(key.secret)
  await page.keyboard.press('Enter')
  await page.locator('tbody tr:nth-child(2)').waitFor()
  t.strictSame(await names(page), ['mail', 'orders'])
  const kept = await page.evaluate('[document.cookie, ...Object.keys(localStorage)]')
  t.strictSame(kept, ['', 'holdfast.theme'], 'the key is kept in this tab alone')

  const offered = async (queue: string) => {
    await go(page, `#/queues/${queue}`)
    await page.locator('h1', { hasText: queue }).waitFor()
    await page.locator('td.name a').waitFor()
    const buttons = [/^Enqueue$/, /^Pause/, /^Settings/].map(name => page.getByRole('button', { name }))
    const elements = [...buttons, page.locator('input[type=checkbox]')]
    return Promise.all(elements.map(async element => (await element.count()) > 0))
  }
  t.strictSame(await offered('orders'), [false, false, false, false], 'it may only browse')
  t.strictSame(await offered('mail'), [false, true, true, true], 'it may manage, but not enqueue')
  await go(page, '#/queues/hidden')
  await page.getByText('There is no such queue').waitFor()
  await go(page, '#/')
  await page.locator('tbody tr:nth-child(2)').waitFor()
  await holdfast.call('DELETE', `/keys/${key.id}`, undefined, admin)
  await page.getByText('it is misspelt, or it has been revoked').waitFor()
  t.strictSame(faults, [])
})

t.test('every page fits a phone, in light and in dark', needs, async t => {
  const holdfast = await service(t)
  const {
    body: { id }
  } = await holdfast.post(`/queues/${'long-name-'.repeat(8)}/messages`, {
    body: { text: 'x'.repeat(500) },
    headers: { trace: 'y'.repeat(500) }
  })
  await holdfast.call('PUT', '/schedules/daily', { queue: 'reports', cron: '30 6 * * 1-5', body: {} })
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, faults } = await openPage(browser, `${holdfast.url}/console`, {
      width: 390,
      height: 844,
      colorScheme
    })
    await page.locator('tbody tr').first().waitFor()
    for (const [hash, wanted] of [
      ['#/', 'td.name'],
      [`#/queues/${'long-name-'.repeat(8)}`, '.chart .u-legend'],
      [`#/queues/${'long-name-'.repeat(8)}/messages/${id}`, '.timeline'],
      ['#/schedules', '.card'],
      ['#/nowhere', '.empty']
    ] as const) {
      await go(page, hash)
      await page.locator(wanted).first().waitFor()
      t.ok(
        await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
        `${colorScheme} ${hash}`
      )
      // The Tab key reaches everything that can be done, and shows where it is.
      await page.keyboard.press('Tab')
      t.not(
        await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'),
        'none',
        'the focus is seen'
      )
    }
    const ground = (await page.evaluate('getComputedStyle(document.body).backgroundColor')) as string
    t.equal(Number(/\d+/.exec(ground)![0]) < 100, colorScheme === 'dark', ground)
    t.strictSame(faults, [])
  }
})
