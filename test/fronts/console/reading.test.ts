/** The console says exactly what is: times with their zone, durations in words, bodies laid out. */
import t from 'tap'
import type { Browser } from 'playwright-core'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service } from '../../support/service.ts'
import { go, press, until } from './reader.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

t.test('every time has its zone, and the clock that was chosen is remembered', needs, async t => {
  const holdfast = await service(t)
  const { body } = await holdfast.post('/queues/mail/messages', { body: 1, delaySeconds: 600 })
  await holdfast.call('PUT', '/schedules/daily', {
    queue: 'mail',
    cron: '30 6 1 1 *',
    timezone: 'America/New_York',
    body: {}
  })
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/schedules`, {
    timezoneId: 'Asia/Tokyo'
  })
  const run = page.locator('.runs li').first()
  await run.waitFor()
  t.match(await run.innerText(), /01-01 06:30:00 EST.*01-01 20:30:00 GMT\+9/s, 'both clocks')
  const clock = page.getByRole('button', { name: /^Times:/ })
  t.equal(await clock.innerText(), 'Local (GMT+9)')
  await clock.click()
  t.match(await run.innerText(), /01-01 06:30:00 EST.*01-01 11:30:00 UTC/s)
  await page.reload()
  t.equal(await clock.innerText(), 'UTC', 'remembered')

  const { enqueuedAt } = (await holdfast.get(`/queues/mail/messages/${body.id}`)).body
  await go(page, `#/queues/mail/messages/${body.id}`)
  const utc = `${enqueuedAt.slice(0, 19).replace('T', ' ')} UTC`
  await page.locator('.timeline', { hasText: utc }).waitFor()
  const shown = await page.locator('main').innerText()
  const times = shown.match(/\d\d:\d\d:\d\d.{0,4}/g)!
  t.ok(times.length > 3, 'times on the page')
  t.strictSame(
    times.filter(time => !time.endsWith(' UTC')),
    []
  )

  await go(page, '#/queues/mail')
  await page.getByLabel('Enqueued after (UTC)').fill('2020-01-01T00:00')
  await until(page, "location.hash.includes('after=2020-01-01T00%3A00%3A00.000Z')")
  await clock.click()
  t.equal(await page.getByLabel('Enqueued after (GMT+9)').inputValue(), '2020-01-01T09:00')
  t.match(await page.locator('.chart figcaption').first().innerText(), /GMT\+9/)
  t.strictSame(faults, [])
})

t.test('the tab names the page', needs, async t => {
  const holdfast = await service(t)
  const { body } = await holdfast.post('/queues/mail/messages', { body: 1 })
  const { page } = await openPage(browser, `${holdfast.url}/console`)
  for (const [hash, title] of [
    ['#/schedules', 'Schedules – Holdfast'],
    ['#/queues/mail', 'mail – Holdfast'],
    [`#/queues/mail/messages/${body.id}`, `Message ${body.id} · mail – Holdfast`],
    ['#/nowhere', 'No such page – Holdfast'],
    ['#/', 'Queues – Holdfast']
  ] as const) {
    await go(page, hash)
    await until(page, `document.title === ${JSON.stringify(title)}`)
    t.pass(title)
  }
})

t.test('an acked message shows the result of its ack, to the letter', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { keepAckedSeconds: 600 })
  await holdfast.post('/queues/mail/messages', { body: { result: 'no' } })
  const [{ id, receipt }] = (await holdfast.post('/queues/mail/lease', {})).body.messages
  await holdfast.post('/queues/mail/ack', `{"receipt":"${receipt}","result":{"sum":1.0,"b":["<b>"]}}`)
  const { page, faults } = await openPage(browser, `${holdfast.url}/console#/queues/mail/messages/${id}`)
  await page.getByRole('heading', { name: 'Result' }).waitFor()
  const [body, result] = await page.locator('.body pre').allInnerTexts()
  t.equal(body, '{\n  "result": "no"\n}')
  t.equal(result, '{\n  "sum": 1.0,\n  "b": [\n    "<b>"\n  ]\n}')
  t.strictSame(faults, [])
})

t.test('a message made dead before its last attempt is not said to have none left', needs, async t => {
  const holdfast = await service(t)
  await holdfast.post('/queues/mail/messages', { body: 1 })
  const { messages } = (await holdfast.post('/queues/mail/lease', {})).body
  await holdfast.post('/queues/mail/fail', { receipt: messages[0].receipt, dead: true, reason: 'bad' })
  const { page } = await openPage(browser, `${holdfast.url}/console#/queues/mail/messages/${messages[0].id}`)
  await page.locator('.timeline').waitFor()
  const shown = await page.locator('main').innerText()
  t.notMatch(shown, /no attempts? (is|are)? ?left|last attempt/i)
  t.match(shown, /Dead in attempt 1 of 5/)
})

t.test('settings in seconds are also said in days, hours and minutes', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', {})
  const { page } = await openPage(browser, `${holdfast.url}/console#/queues/mail`)
  await press(page, 'Settings')
  const field = page.locator('.field', { hasText: 'Keep messages' })
  t.equal(await field.locator('output').innerText(), '= 14 d')
  await field.locator('input').fill('100000.5')
  t.equal(await field.locator('output').innerText(), '= 1 d 3 h 46 min 40.5 s')
  await field.locator('input').fill('twelve')
  t.equal(await field.locator('output').innerText(), '')
  await press(page, 'Cancel')
  await press(page, 'Enqueue')
  await page.getByLabel('Delay, in seconds').fill('5400')
  await page.getByText('= 1 h 30 min').waitFor()
})

t.test(
  'escaped letters are shown as letters, and what hides or reorders text stays escaped',
  needs,
  async t => {
    const holdfast = await service(t)
    const body =
      '{"\\u0645\\u0631":"\\ud83d\\ude00 \\u00e9 \\/ \\n \\"",' +
      '"evil":"\\u202e \\u0000 \\ud800 \\\\u0041 \\u0022 \\u005c"}'
    const { body: sent } = await holdfast.post('/queues/mail/messages', `{"body":${body}}`)
    const { page } = await openPage(browser, `${holdfast.url}/console#/queues/mail/messages/${sent.id}`)
    await page.locator('.body pre').waitFor()
    t.strictSame((await page.locator('.body pre').textContent())!.split('\n'), [
      '{',
      '  "مر": "😀 é / \\n \\"",',
      '  "evil": "\\u202e \\u0000 \\ud800 \\\\u0041 \\u0022 \\u005c"',
      '}'
    ])
    await press(page, 'As sent')
    t.equal(await page.locator('.body pre').textContent(), body)
  }
)

t.test('a large body is laid out in lines too', needs, async t => {
  const holdfast = await service(t)
  const items = Array.from({ length: 6000 }, (_, n) => ({ n, text: 'x'.repeat(25) }))
  const { body: sent } = await holdfast.post('/queues/mail/messages', { body: items })
  t.ok(JSON.stringify(items).length > 250_000)
  const { page } = await openPage(browser, `${holdfast.url}/console#/queues/mail/messages/${sent.id}`)
  await page.locator('.body pre').waitFor()
  const first = (await page.locator('.body pre').textContent())!
  t.ok(first.startsWith('[\n  {\n    "n": 0,\n'), 'at once')
  t.ok(first.length < 101_000, 'in part')
  await press(page, /^Show all/)
  await page.getByRole('button', { name: /^Show all/ }).waitFor({ state: 'detached' })
  t.equal(await page.locator('.body pre').textContent(), JSON.stringify(items, null, 2))
})

t.test('no heading, figure or number of a table wraps at 1440 or 1280', needs, async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', { keepAckedSeconds: 3600 })
  await holdfast.post('/queues/mail/messages', { messages: Array(999).fill({ body: 1 }) })
  for (const width of [1440, 1280]) {
    const { page } = await openPage(browser, `${holdfast.url}/console`, { width, height: 900 })
    for (const hash of ['#/', '#/queues/mail']) {
      await go(page, hash)
      await page.locator('.figures').waitFor()
      await page.locator('table.rows tbody tr').first().waitFor()
      const wrapped = await page.evaluate(`[...document.querySelectorAll('.figure dt, .figure dd, th, td.n')]
        .filter(cell => {
          const range = document.createRange()
          range.selectNodeContents(cell)
          const tops = [...range.getClientRects()].filter(r => r.width > 0).map(r => Math.round(r.top / 16))
          return Math.max(...tops) - Math.min(...tops) > 1 || cell.scrollWidth > cell.clientWidth + 1
        }).map(cell => cell.innerText)`)
      t.strictSame(wrapped, [], `${hash} at ${width}`)
    }
  }
})
