/** What pages of other sites can do to the service, tried in a real browser. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { guarded } from '../../support/apiKeys.ts'
import { browser as launch, noBrowser, openPage } from '../../support/chromium.ts'
import { service, type Client } from '../../support/service.ts'

declare const document: any // in the browser

const needs = { skip: noBrowser }
let browser: Browser
// Both names lead to this machine, as a rebound domain does.
if (noBrowser === false) browser = await launch(t, '--host-resolver-rules=MAP *.example 127.0.0.1')

/** A site of somebody else, which answers this page to everything. Returns its port. */
async function foreignSite(t: Test, html: string): Promise<number> {
  const server = createServer((_request, answer) => answer.setHeader('content-type', 'text/html').end(html))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

async function newPage(t: Test, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  return await context.newPage()
}

/** A service with a queue that a foreign page would like to empty. */
async function victim(t: Test): Promise<{ holdfast: Client; port: string; unharmed: () => Promise<void> }> {
  const holdfast = await service(t)
  await holdfast.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }] })
  return {
    holdfast,
    port: new URL(holdfast.url).port,
    async unharmed() {
      t.match((await holdfast.get('/queues/mail')).body, { counts: { ready: 2, leased: 0 } })
      t.equal((await holdfast.get('/queues')).body.queues.length, 1)
    }
  }
}

t.test('no page of another site can frame the console, Swagger UI or an answer', needs, async t => {
  const { holdfast, unharmed } = await victim(t)
  const keyed = (await guarded(t, { HOLDFAST_OPEN: 'docs,metrics' })).holdfast
  const paths = ['/console', '/docs', '/docs/', '/livez', '/metrics', '/queues']
  // With a key in force, nothing but the security fields keeps the open pages out of the frame.
  const framed = [holdfast, keyed].flatMap(({ url }) => paths.map(path => url + path))
  const other = await foreignSite(t, 'framed')
  const frames = [...framed, `http://127.0.0.1:${other}/`].map(url => `<iframe src="${url}"></iframe>`)
  const port = await foreignSite(t, frames.join(''))
  const page = await newPage(t)
  await page.goto(`http://evil.example:${port}/`)
  const shown = page.frames().slice(1)
  t.equal(shown.length, framed.length + 1)
  t.match(await shown.at(-1)!.locator('body').textContent(), 'framed', 'a page that allows it is framed')
  for (const [index, frame] of shown.slice(0, -1).entries()) {
    t.match(frame.url(), /^chrome-error:/, framed[index]!)
  }
  await unharmed()
})

t.test('a domain that is pointed at this machine reaches nothing', needs, async t => {
  const { port, unharmed } = await victim(t)
  // Its script was loaded before the domain was pointed here, so our policy does not bind it.
  const page = await newPage(t, { bypassCSP: true })
  for (const path of ['/console', '/docs', '/queues', '/queues/mail/messages', '/openapi.json']) {
    const answer = await page.goto(`http://rebound.example:${port}${path}`)
    t.equal(answer!.status(), 403, path)
  }
  const statuses = await page.evaluate(async () => {
    const call = async (method: string, path: string, body?: string) =>
      (await fetch(path, { method, ...(body && { body, headers: { 'content-type': 'application/json' } }) }))
        .status
    return [
      await call('GET', '/queues/mail/messages'),
      await call('POST', '/queues/mail/messages', '{"body":1}'),
      await call('POST', '/queues/mail/purge', '{}'),
      await call('PUT', '/queues/mine'),
      await call('DELETE', '/queues/mail'),
      await call('POST', '/keys', '{"name":"x","rights":["admin"]}')
    ]
  })
  t.strictSame(statuses, [403, 403, 403, 403, 403, 403])
  await unharmed()
})

t.test('a page of another site, or of another port, can post and read nothing', needs, async t => {
  const { holdfast, unharmed } = await victim(t)
  const foreign = await foreignSite(t, '<iframe name="hidden"></iframe>')
  for (const origin of [`http://evil.example:${foreign}`, `http://127.0.0.1:${foreign}`]) {
    const page = await newPage(t)
    await page.goto(origin)
    // As the network saw them: the browser keeps most of these answers from the page.
    const answers: { requestId: string; statusCode: number }[] = []
    const asked = new Set<string>()
    const network = await page.context().newCDPSession(page)
    await network.send('Network.enable')
    network.on('Network.requestWillBeSent', ({ requestId, request }) => {
      if (request.url.startsWith(holdfast.url)) asked.add(requestId)
    })
    network.on('Network.responseReceivedExtraInfo', answer => answers.push(answer))
    const outcomes = await page.evaluate(async url => {
      const tried = (path: string, options: RequestInit) =>
        fetch(url + path, options).then(
          ({ type }) => type,
          () => 'failed'
        )
      const embedded = (tag: 'img' | 'script', path: string) =>
        new Promise(resolve => {
          const element = Object.assign(document.createElement(tag), { src: url + path })
          element.onload = () => resolve('loaded')
          element.onerror = () => resolve('failed')
          document.body.append(element)
        })
      const form = Object.assign(document.createElement('form'), {
        action: `${url}/queues/mail/purge`,
        method: 'post',
        target: 'hidden'
      })
      document.body.append(form)
      const sent = new Promise(resolve => document.querySelector('iframe')!.addEventListener('load', resolve))
      form.submit()
      await sent
      const json = { 'content-type': 'application/json' }
      return [
        await tried('/queues/mail/messages', { method: 'POST', body: 'x', mode: 'no-cors' }),
        await tried('/queues/mail/lease', { method: 'POST', mode: 'no-cors' }),
        await tried('/queues/mail', { mode: 'no-cors' }),
        await tried('/queues/mail/ack', { method: 'POST', body: '{}', headers: json }),
        await tried('/queues/evil', { method: 'PUT' }),
        await tried('/queues', {}),
        await embedded('img', '/console/icon.svg'),
        await embedded('script', '/console/tables.js')
      ]
    }, holdfast.url)
    t.notOk(
      outcomes.some(outcome => ['basic', 'cors', 'loaded'].includes(outcome as string)),
      `${outcomes}`
    )
    // The page may still be loading its own icon.
    const statuses = answers.filter(({ requestId }) => asked.has(requestId)).map(answer => answer.statusCode)
    t.ok(statuses.length >= 8, `${statuses}`)
    t.ok(
      statuses.every(status => status === 403),
      `${origin}: ${statuses}`
    )
    await unharmed()
  }
})

t.test('a link on another site opens the console, which then works', needs, async t => {
  const { holdfast } = await victim(t)
  const port = await foreignSite(t, `<a href="${holdfast.url}/console">the console</a>`)
  const page = await newPage(t)
  await page.goto(`http://evil.example:${port}/`)
  await page.getByText('the console').click()
  await page.locator('tbody td.name', { hasText: 'mail' }).waitFor()
  t.equal(await page.evaluate('window.opener'), null)
})

t.test('Swagger UI works under its policy', needs, async t => {
  const { holdfast } = await victim(t)
  const { page, faults } = await openPage(browser, `${holdfast.url}/docs`)
  const operation = page.locator('#operations-Queues-listQueues')
  await operation.locator('.opblock-summary').first().click()
  await operation.getByRole('button', { name: 'Execute' }).click()
  await operation.locator('.live-responses-table', { hasText: '"queue": "mail"' }).waitFor()
  t.ok(
    await page.locator('.topbar img').evaluate((image: any) => image.naturalWidth > 0),
    'the logo is shown'
  )
  t.strictSame(faults, [])
})
