/** The pages of the guide: which there are, where each stands, and where its links lead. */
import { glob, readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, posix } from 'node:path'

/** The document whose tables are the contents of the guide. */
export const contentsSource = 'docs/README.md'

export interface Heading {
  level: number
  text: string
  anchor: string
}

export interface Page {
  /** Its file or folder, from the root of the repository. */
  source: string
  /** Its file in the built site. */
  address: string
  title: string
  /** Markdown. */
  text: string
  headings: Heading[]
}

export interface Group {
  name: string
  pages: Page[]
}

export interface Guide {
  pages: Map<string, Page>
  /** Files that are copied as they are, by their place in the repository. */
  files: Map<string, string>
  /** The pages to which the contents lead, each once. */
  groups: Group[]
}

/** Whether the guide shows a file or folder. Links to others, such as tests, become plain text. */
const isShown = (path: string) => /^(docs|openapi|deploy)\/|^clients\/\w+\/README\.md$|^[^/]+$/.test(path)

const copied = ['.json', '.png', '.svg']
const isDocument = (path: string) => path.endsWith('.md')

/** Where a file or folder of the repository stands in the site. */
function addressOf(path: string): string {
  if (path === 'README.md') return 'index.html'
  const place = path.replace(/\/README\.md$/, '').replace(/^docs\//, '')
  if (copied.includes(extname(place))) return place
  return `${place.replace(/\.md$/, '').toLowerCase()}.html`
}

/** A heading without its marks, and its anchor as Git hosts make it. */
function headingMaker(): (level: number, markdown: string) => Heading {
  const seen = new Map<string, number>()
  return (level, markdown) => {
    const text = markdown.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '')
    const plain = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-')
    const count = seen.get(plain) ?? 0
    seen.set(plain, count + 1)
    return { level, text, anchor: count === 0 ? plain : `${plain}-${count}` }
  }
}

const withoutBlocks = (markdown: string) => markdown.replace(/^( *)```[^]*?^ *```$/gm, '')

export function headingsOf(markdown: string): Heading[] {
  const make = headingMaker()
  return [...withoutBlocks(markdown).matchAll(/^(#{1,6}) (.*)$/gm)].map(([, marks, text]) =>
    make(marks!.length, text!)
  )
}

/** What a document links to and shows in this repository, without anchors. */
function targetsOf(source: string, markdown: string): string[] {
  return [...withoutBlocks(markdown).matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset)="([^"]+)"/g)]
    .map(match => (match[1] ?? match[2])!)
    .filter(target => !/^([a-z]+:|#)/.test(target))
    .map(target => placeOf(source, target).path)
}

function placeOf(source: string, target: string): { path: string; anchor: string } {
  const [path = '', anchor = ''] = target.split('#')
  return { path: path === '' ? source : posix.join(posix.dirname(source), path), anchor }
}

/** Reads every document, and the files and folders to which they link. */
export async function readGuide(): Promise<Guide> {
  const pages = new Map<string, Page>()
  const files = new Map<string, string>()
  const add = (source: string, text: string) => {
    const headings = headingsOf(text)
    pages.set(source, {
      source,
      text,
      headings,
      title: headings[0]?.text ?? source,
      address: addressOf(source)
    })
  }
  for (const pattern of ['*.md', 'docs/**/*.md', 'clients/*/README.md']) {
    for await (const source of glob(pattern)) add(source, await readFile(source, 'utf8'))
  }
  const addTarget = async (path: string): Promise<void> => {
    if (!isShown(path) || pages.has(path) || files.has(path)) return
    if (copied.includes(extname(path))) files.set(path, addressOf(path))
    else if ((await stat(path)).isDirectory()) {
      const names = (await readdir(path)).sort()
      const places = names.map(name => posix.join(path, name))
      for (const place of places) await addTarget(place)
      add(path, folderText(path, places, pages))
    } else add(path, `# ${basename(path)}\n\n${fenced(path, await readFile(path, 'utf8'))}`)
  }
  for (const { source, text } of [...pages.values()]) {
    for (const path of targetsOf(source, text)) await addTarget(path)
  }
  return { pages, files, groups: groupsOf(pages) }
}

/** A folder as a page: what it holds. */
function folderText(path: string, places: string[], pages: Map<string, Page>): string {
  const title = posix.relative('docs', path).replace('/', ': ')
  const links = places.map(
    place => `- [${pages.get(place)!.title}](${posix.relative(posix.dirname(path), place)})`
  )
  return `# ${title[0]!.toUpperCase()}${title.slice(1)}\n\n${links.join('\n')}\n`
}

function fenced(path: string, text: string): string {
  const fence = '`'.repeat(3)
  return `${fence}${extname(path).slice(1) || 'text'}\n${text.trimEnd()}\n${fence}\n`
}

function groupsOf(pages: Map<string, Page>): Group[] {
  const placed = new Set<Page>()
  return pages
    .get(contentsSource)!
    .text.split(/^## /m)
    .slice(1)
    .map(section => {
      const found = targetsOf(contentsSource, section)
        .map(path => pages.get(path))
        .filter(page => page !== undefined && (isDocument(page.source) || extname(page.source) === ''))
        .filter(page => !placed.has(page!)) as Page[]
      for (const page of found) placed.add(page)
      return { name: section.slice(0, section.indexOf('\n')), pages: [...new Set(found)] }
    })
}

/**
 * The address of a link, from the page that holds it; null if the guide does not show its target.
 * Throws if there is no such file or heading.
 */
export function resolveLink({ pages, files }: Guide, from: Page, target: string): string | null {
  if (/^[a-z]+:/.test(target)) return target
  const { path, anchor } = placeOf(from.source, target)
  if (!isShown(path)) return null
  const page = pages.get(path)
  const address = page?.address ?? files.get(path)
  if (address === undefined) throw new Error(`${from.source} links to ${target}, which is not there.`)
  if (anchor !== '' && !page?.headings.some(heading => heading.anchor === anchor)) {
    throw new Error(`${from.source} links to ${target}, but ${path} has no such heading.`)
  }
  const way = page === from ? '' : posix.relative(posix.dirname(from.address), address)
  return anchor === '' ? way || posix.basename(address) : `${way}#${anchor}`
}
