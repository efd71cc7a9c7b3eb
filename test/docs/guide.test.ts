/** The documents as a site: whole, two clicks wide, and served with nothing inline. */
import { cp, glob, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { buildGuide } from '../../docs/site/build.ts'
import { contentsSource, type Guide } from '../../docs/site/pages.ts'
import { guideRoutes } from '../../src/fronts/rest/guide.ts'
import { browser as launch, noBrowser, openPage, violations } from '../support/chromium.ts'

let folder: string
let guide: Guide
/** The HTML of each page, by its address. */
const pages = new Map<string, string>()

t.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-guide-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  guide = await buildGuide(folder)
  for await (const address of glob('**/*.html', { cwd: folder })) {
    pages.set(address, await readFile(join(folder, address), 'utf8'))
  }
})

/** What a page links to and loads from the site: an address and an anchor. */
function targetsOf(address: string): { path: string; anchor: string }[] {
  return [...pages.get(address)!.matchAll(/ (?:href|src|srcset)="([^"]*)"/g)]
    .map(([, target]) => target!)
    .filter(target => !/^[a-z]+:/.test(target))
    .map(target => {
      const [path = '', anchor = ''] = target.split('#')
      return { path: path === '' ? address : posix.join(posix.dirname(address), path), anchor }
    })
}

t.test('every document is a page, at an address of its own', async t => {
  for await (const source of glob(['*.md', 'docs/**/*.md'])) t.ok(guide.pages.has(source), source)
  t.equal(pages.size, guide.pages.size)
})

t.test('every link, picture and script is there, and every anchor', async t => {
  const files = new Set<string>()
  for await (const file of glob('**/*', { cwd: folder })) files.add(file)
  const faults = [...pages.keys()].flatMap(address =>
    targetsOf(address)
      .filter(({ path, anchor }) => {
        const anchored = anchor === '' || pages.get(path)?.includes(` id="${anchor}"`)
        return !files.has(path) || !anchored
      })
      .map(({ path, anchor }) => `${address} → ${path}#${anchor}`)
  )
  t.strictSame(faults, [])
})

t.test('every page is two clicks from every other', async t => {
  const next = new Map(
    [...pages.keys()].map(address => [address, targetsOf(address).map(({ path }) => path)])
  )
  for (const [address, links] of next) {
    const reached = new Set([address, ...links, ...links.flatMap(link => next.get(link) ?? [])])
    const missed = [...pages.keys()].filter(page => !reached.has(page))
    t.strictSame(missed, [], `from ${address}; else: link to the page in ${contentsSource}`)
  }
})

t.test('no page has a script, a style or a handler in it', async t => {
  for (const [address, html] of pages) {
    const markup = html.replace(/<pre[^]*?<\/pre>/g, '')
    t.notMatch(markup, /<script(?![^>]* src=)|<style|<[^>]* (style|on\w+)=/, address)
  }
})

async function serve(t: Test, folder: string): Promise<string> {
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
  await guideRoutes(app, folder)
  t.teardown(() => app.close())
  return app.listen({ host: '127.0.0.1', port: 0 })
}

t.test('the service shows it where it is built, and says how to build it where it is not', async t => {
  const url = await serve(t, folder)
  for (const path of ['/docs/guide', '/docs/guide/']) {
    const answer = await fetch(url + path)
    t.equal(new URL(answer.url).pathname, '/docs/guide/index.html')
    t.match(answer.headers.get('content-security-policy'), /script-src 'self'; .*style-src 'self'/)
    t.match(await answer.text(), /<h1 id="holdfast">/)
  }
  t.equal((await fetch(`${url}/docs/guide/..%2f..%2fpackage.json`)).status, 404)

  const later = join(t.testdir({}), 'guide')
  const bare = await serve(t, later)
  for (const path of ['', '/', '/concepts.html']) {
    t.match(await (await fetch(`${bare}/docs/guide${path}`)).json(), { message: /npm run docs/ }, path)
  }
  await cp(folder, later, { recursive: true })
  t.equal((await fetch(`${bare}/docs/guide/concepts.html`)).status, 200, 'it needs no restart')
})

const browsing = process.env.HOLDFAST_TEST_SECONDS ? noBrowser : 'HOLDFAST_TEST_SECONDS=60 runs it'

t.test('a reader finds a page by a word, by keyboard and on a phone', { skip: browsing }, async t => {
  const url = await serve(t, folder)
  const browser = await launch(t)
  const { page, faults } = await openPage(browser, `${url}/docs/guide`)
  await page.keyboard.press('/')
  await page.keyboard.type('lease') // it finds lease=$(curl …) too
  await page.locator('#found mark').first().waitFor()
  await page.keyboard.type('Lost')
  await page.locator('#found [href$="#leaselost"]').waitFor()
  t.strictSame(await violations(page), [])
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/errors.html#leaselost')
  await page.keyboard.press('/')
  await page.keyboard.type('xyzzy')
  await page.getByText('Nothing has').waitFor()
  t.strictSame(await violations(page), [])
  t.strictSame(faults, [])

  for (const colorScheme of ['light', 'dark'] as const) {
    const concepts = `${url}/docs/guide/concepts.html`
    const phone = await openPage(browser, concepts, { width: 360, colorScheme })
    t.equal(await phone.page.evaluate('document.documentElement.scrollWidth'), 360, 'nothing is too wide')
    t.ok(await phone.page.evaluate("document.querySelector('article img').naturalWidth > 0"))
    t.strictSame(await violations(phone.page), [])
    await phone.page.getByRole('button', { name: 'Pages' }).click()
    await phone.page.getByRole('link', { name: 'The REST walk-through', exact: true }).click()
    await phone.page.waitForURL('**/rest.html')
    t.strictSame(phone.faults, [])
  }
})
