/** Builds the guide from the documents, as a static site: `npm run docs`. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
// @ts-expect-error: it comes without types
import Eleventy from '@11ty/eleventy'
import { amendMarkdown } from './markdown.ts'
import { contentsSource, readGuide, type Guide, type Page } from './pages.ts'
import { sectionsOf } from './search.ts'

/** The folder that the service serves as /docs/guide. */
export const outputFolder = 'dist/guide'

/** Files that every page uses, by their name in the site. */
const parts = {
  'src/fronts/console/pages/base.css': 'base.css',
  'src/fronts/console/pages/icon.svg': 'icon.svg',
  'docs/site/site.css': 'site.css',
  'docs/site/site.js': 'site.js',
  'node_modules/minisearch/dist/es/index.js': 'minisearch.js'
}

/** Writes the whole site into a folder, whose old content goes. Throws if a link leads nowhere. */
export async function buildGuide(output: string): Promise<Guide> {
  const guide = await readGuide()
  const diagrams = new Map<string, string>()
  let markdown: any
  await rm(output, { recursive: true, force: true })
  const eleventy = new Eleventy('docs/site', output, {
    quietMode: true,
    configPath: false,
    config: (config: any) => {
      config.amendLibrary('md', (library: any) => {
        amendMarkdown(library, guide, diagrams)
        markdown = library
      })
      for (const page of guide.pages.values()) {
        config.addTemplate(page.address.replace(/\.html$/, '.md'), page.text, dataOf(page, guide))
      }
      config.addPassthroughCopy({ ...parts, ...Object.fromEntries(guide.files) })
      config.setIncludesDirectory('layout')
      config.setTemplateFormats('md')
    }
  })
  await eleventy.write()
  const texts = new Map(diagrams)
  texts.set(
    'search.json',
    JSON.stringify([...guide.pages.values()].flatMap(page => sectionsOf(page, markdown)))
  )
  for (const [address, text] of texts) {
    await mkdir(dirname(join(output, address)), { recursive: true })
    await writeFile(join(output, address), text)
  }
  return guide
}

/** What the layout shows beside the text. */
function dataOf(page: Page, { groups, pages }: Guide): object {
  const order = [...new Set([pages.get('README.md')!, ...groups.flatMap(group => group.pages)])]
  const at = order.indexOf(page)
  return {
    guidePage: page,
    layout: 'page.njk',
    templateEngineOverride: 'md', // alone, because a document may hold {{ and {%
    permalink: page.address,
    title: page.title,
    description: /^(?![#<|`\s-]).+(\n\S.*)*/m.exec(page.text)?.[0].replace(/[*`]|\[|\]\([^)]*\)/g, ''),
    root: posix.relative(posix.dirname(page.address), '.').replace(/.$/, '$&/'),
    groups,
    contents: pages.get(contentsSource)!.address,
    outline: page.headings.filter(({ level }) => level === 2 || level === 3),
    before: order[at - 1],
    after: at < 0 ? undefined : order[at + 1]
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const output = process.argv[2] ?? outputFolder
  const { pages } = await buildGuide(output)
  process.stdout.write(`${pages.size} pages in ${output}. The service shows them at /docs/guide.\n`)
}
