/** Addresses with a % that begins no escape: refused on every route of every front. */
import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { service } from '../../support/service.ts'

const badEscapes = ['%', '%zz', 'a%2', '%C3%28', '%ff']

interface Route {
  method: string
  path: string
}

/** Every route of the contract, the console's own, and the documents. */
async function routes(): Promise<Route[]> {
  const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const contract = Object.entries<object>(paths).flatMap(([path, verbs]) =>
    Object.keys(verbs).map(verb => ({ method: verb.toUpperCase(), path }))
  )
  const pages = await readdir('src/fronts/console/pages')
  const files = pages.filter(name => name.endsWith('.js')).map(name => `/console/${name}`)
  const shown = [
    '/',
    '/console',
    '/console/rights',
    '/console/shares',
    '/console/live',
    '/console/live/{queue}'
  ]
  const others = ['/docs', '/docs/static/index.html', '/openapi.json', '/nowhere', ...files, ...shown]
  return [...contract, ...others.map(path => ({ method: 'GET', path }))]
}

/** The address of a route with a bad escape in each place: in the path, and in the query. */
function addressesOf({ path }: Route, bad: string): string[] {
  const good = path.replace(/\{\w+\}/g, '1')
  const places = [...path.matchAll(/\{\w+\}/g)]
  const inPath = places.map(({ 0: { length }, index }) => {
    const [before, after] = [path.slice(0, index), path.slice(index + length)]
    return `${before}${bad}${after}`.replace(/\{\w+\}/g, '1')
  })
  return [...inPath, `${good}/${bad}`.replace('//', '/'), `${good}?a=${bad}`, `${good}?limit=1&${bad}=1`]
}

t.test('each route refuses them as a problem that says what to do', async t => {
  const { url } = await service(t)
  const faults: string[] = []
  let asked = 0
  for (const route of await routes()) {
    for (const bad of badEscapes) {
      for (const address of addressesOf(route, bad)) {
        asked++
        const answer = await fetch(url + address, {
          method: route.method,
          ...(route.method !== 'GET' && { body: '{}', headers: { 'content-type': 'application/json' } })
        })
        const text = await answer.text()
        const isProblem = answer.headers.get('content-type') === 'application/problem+json; charset=utf-8'
        const isRight =
          isProblem && answer.status === 400 && /"code":"malformedRequest".*%25/.test(reorder(text))
        if (!isRight) faults.push(`${route.method} ${address}: ${answer.status} ${text.slice(0, 100)}`)
      }
    }
  }
  t.strictSame(faults, [])
  t.ok(asked > 500, `${asked} addresses`)
})

/** The code first, then the detail. */
function reorder(text: string): string {
  const { code, detail } = JSON.parse(text)
  return JSON.stringify({ code, detail })
}

t.test('SQS refuses them in its protocols', async t => {
  const { url } = await service(t)
  const json = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ListQueues' }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  for (const bad of badEscapes) {
    for (const path of [`/?a=${bad}`, `/000000000000/${bad}`, `/000000000000/q?${bad}=1`]) {
      const byJson = await fetch(url + path, { method: 'POST', headers: json, body: '{}' })
      t.equal(byJson.status, 400, path)
      t.equal(byJson.headers.get('x-amzn-query-error'), 'InvalidParameterValue;Sender')
      t.match(await byJson.json(), { __type: 'InvalidParameterValue', message: /%25/ })
      const byForm = await fetch(url + path, { method: 'POST', headers: form, body: 'Action=ListQueues' })
      t.equal(byForm.status, 400, path)
      t.match(await byForm.text(), /<Code>InvalidParameterValue<\/Code>.*%25/)
    }
    const inBody = await fetch(`${url}/`, {
      method: 'POST',
      headers: form,
      body: `Action=ListQueues&a=${bad}`
    })
    t.match(await inBody.text(), '<Code>MalformedQueryString</Code>')
  }
})
