/** Swagger UI in a real browser: a newcomer presses everything, and nothing of theirs is harmed. */
import t from 'tap'
import type { Browser, Page } from 'playwright-core'
import { describeApi } from '../../../src/fronts/rest/docs.ts'
import { quickResolver } from '../../../src/fronts/rest/docsBrowser.ts'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service, type Client } from '../../support/service.ts'

const needs = { skip: noBrowser }
let browser: Browser
if (noBrowser === false) browser = await launch(t)

/** The queue of README, and a schedule of the name that docs/schedules.md uses. */
async function withRealData(holdfast: Client): Promise<() => Promise<unknown>> {
  await holdfast.post('/queues/mail/messages', { messages: Array(20).fill({ body: 'mine' }) })
  await holdfast.call('PUT', '/schedules/nightly-report', { queue: 'mail', cron: '30 6 * * *', body: 'mine' })
  return async () => {
    const [queue, messages, schedules, keys] = await Promise.all(
      ['/queues/mail', '/queues/mail/messages', '/schedules', '/keys'].map(holdfast.get)
    )
    const { settings, counts } = queue!.body
    return [settings, counts, messages!.body, schedules!.body, keys!.body]
  }
}

const operation = (page: Page, id: string) => page.locator(`.opblock[id$="-${id}"]`)

async function openDocs(holdfast: Client) {
  const opened = await openPage(browser, `${holdfast.url}/docs`)
  await operation(opened.page, 'putQueue').waitFor()
  // Swagger UI moves whatever the reader prefers, which takes a third of this file's time.
  await opened.page.addStyleTag({ content: '* { animation: none !important; transition: none !important }' })
  return opened
}

// Events are dispatched: a real click waits for two frames, and the page takes long to draw.
async function open(page: Page, id: string) {
  await operation(page, id).locator('.opblock-summary-control').dispatchEvent('click')
  await operation(page, id).locator('.opblock-body .parameters-container').waitFor()
  return operation(page, id)
}

/** Opens a call and executes it. Returns the status, or null where that is not offered. */
async function execute(page: Page, id: string): Promise<string | null> {
  const block = await open(page, id)
  const button = block.getByRole('button', { name: /Execute|Try it out/ })
  const status = block.locator('.live-responses-table .response-col_status').last()
  const isOffered = (await button.count()) > 0
  if (isOffered) await button.dispatchEvent('click')
  const shown = isOffered ? (await status.innerText()).trim().slice(0, 3) : null
  await block.locator('.opblock-summary-control').dispatchEvent('click')
  return shown
}

t.test('calls from top to bottom, with the examples as they stand, harm nothing', needs, async t => {
  const holdfast = await service(t)
  const real = await withRealData(holdfast)
  const before = await real()
  const { page, faults } = await openDocs(holdfast)
  page.on('dialog', dialog => {
    t.fail(`asks: ${dialog.message()}`)
    dialog.dismiss().catch(() => {})
  })
  const shown = "[...document.querySelectorAll('.opblock')].map(block => block.id.split('-').at(-1))"
  const tour = ['putQueue', 'getQueue', 'getSeries', 'listConsumers', 'listGroups', 'listQueues']
  // Of the calls that only read, those of the tour are enough: each press takes a second to draw.
  const reads = /^(livez|readyz|metrics|get|list|browse|explain)/
  const ids = ((await page.evaluate(shown)) as string[]).filter(id => tour.includes(id) || !reads.test(id))
  const pressed: string[] = []
  const refused: string[] = []
  for (const id of ids) {
    const status = await execute(page, id)
    if (status === null) refused.push(id)
    else pressed.push(`${id} ${status}`)
  }
  t.strictSame(pressed.slice(0, 10), [
    'putQueue 201',
    ...tour.slice(1).map(id => `${id} 200`),
    'enqueue 201',
    'lease 200',
    'extend 200',
    'ack 200'
  ])
  t.strictSame(
    refused,
    [
      'stopRedrive',
      'cancelMessage',
      'purge',
      'deleteQueue',
      'unsubscribe',
      'deleteTopic',
      'putPush',
      'rotatePush',
      'deletePush',
      'putSchedule',
      'deleteSchedule',
      'createKey',
      'changeKey',
      'revokeKey'
    ],
    'calls that remove, overwrite or make keys have no Execute button'
  )
  t.strictSame(await real(), before)
  t.strictSame(faults, [])
})

t.test('every DELETE is marked, and the example of a purge is a dry run', async t => {
  const { paths } = (await (await service(t)).get('/openapi.json')).body
  for (const [path, methods] of Object.entries<Record<string, { 'x-destroys'?: true }>>(paths)) {
    if (methods.delete) t.equal(methods.delete['x-destroys'], true, path)
  }
  const purge = paths['/queues/{queue}/purge'].post.requestBody.content['application/json']
  t.strictSame(purge.example ?? purge.schema.examples[0], { dryRun: true })
})

t.test('the resolver of the page leaves no reference in a call, and names the shapes', async t => {
  const document = JSON.parse(await describeApi())
  for (const [path, methods] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(methods)) {
      const { spec } = await quickResolver.fn.resolveSubtree(document, ['paths', path, method])
      t.notMatch(JSON.stringify(spec), '"$ref"', `${method} ${path}`)
    }
  }
  const { spec } = await quickResolver.fn.resolveSubtree(document, ['paths', '/queues/{queue}/lease', 'post'])
  t.equal(spec.requestBody.content['application/json'].schema.title, 'LeaseRequest')
})

t.test('a call that would change another queue is asked about first', needs, async t => {
  const holdfast = await service(t)
  const real = await withRealData(holdfast)
  const before = await real()
  const { page } = await openDocs(holdfast)
  const asked: string[] = []
  page.on('dialog', dialog => {
    asked.push(dialog.message())
    dialog.dismiss().catch(() => {})
  })
  const block = await open(page, 'lease')
  await block.locator('tr[data-param-name=queue] input').fill('mail')
  await block.getByRole('button', { name: 'Execute' }).click()
  await block.getByText('Not sent.').first().waitFor()
  t.strictSame(asked, ['The queue mail is not the one of the examples. Send this call to it?'])
  t.strictSame(await real(), before)
})
