/** A measured figure has one source. Where another page repeats it, it links there, and is checked. */
import { glob, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import t from 'tap'
import { headingsOf } from '../../docs/site/pages.ts'

const source = 'docs/benchmarks.md'
const pages = new Map<string, string>()
for await (const page of glob(['*.md', 'docs/**/*.md'])) pages.set(page, await readFile(page, 'utf8'))

/** Links to a section whose text has a number. */
const linkWithNumber = /\[([^\][]*\d[^\][]*)\]\(([^)#\s]*)#([^)\s]+)\)/g

/** The text below a heading, with that of its subsections. Empty where there is none. */
function sectionOf(page: string, anchor: string): string {
  const text = pages.get(page) ?? ''
  const headings = headingsOf(text)
  const first = headings.findIndex(heading => heading.anchor === anchor)
  if (first === -1) return ''
  const next = headings.findIndex(({ level }, i) => i > first && level <= headings[first]!.level)
  // In a block, # begins a comment.
  const prose = text.replace(/^```[^]*?^```$/gm, block => block.replaceAll('#', ' '))
  const starts = [...prose.matchAll(/^#+ /gm)].map(({ index }) => index)
  return text.slice(starts[first], next === -1 ? undefined : starts[next])
}

const numbersIn = (text: string): string[] => text.match(/\d[\d,.]*\d|\d/g) ?? []

t.test('a number in the text of a link stands in the section that it links to', async t => {
  const links = [...pages].flatMap(([page, text]) =>
    [...text.matchAll(linkWithNumber)].map(([, words, path, anchor]) => ({ page, words, path, anchor }))
  )
  t.ok(links.length > 10)
  for (const { page, words, path, anchor } of links) {
    const target = path === '' ? page : posix.join(posix.dirname(page), path!)
    const found = new Set(numbersIn(sectionOf(target, anchor!)))
    // The number of a decision is its name.
    const figures = words!.replace(/decision\s\d+/i, '')
    const missing = numbersIn(figures).filter(number => !found.has(number))
    t.strictSame(missing, [], `${page}: "${words}" in ${target}#${anchor}`)
  }
})

t.test('a measured rate stands elsewhere only as such a link, or in a generated table', async t => {
  // Round numbers, such as 10,000, stand for other things too.
  const rates = new Set(numbersIn(sectionOf(source, 'results')).filter(number => /,\d\d[1-9]$/.test(number)))
  t.ok(rates.size > 50)
  for (const [page, text] of pages) {
    if (page === source) continue
    const own = text.replace(/<!-- table: [^]*?<!-- end of table -->/g, '').replace(linkWithNumber, '')
    const copied = numbersIn(own).filter(number => rates.has(number))
    t.strictSame(copied, [], `${page}; else: link to its section of ${source}`)
  }
})
