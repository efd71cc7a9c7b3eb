/** What the search of the guide knows: a text for each section of each page. */
import type { Page } from './pages.ts'

interface Section {
  id: string
  title: string
  page: string
  text: string
  /** How much a hit counts. */
  weight: number
}

/** Pages about the inside, and how it came to be. They should not hide those that tell how to use it. */
const isInside = (source: string) =>
  /^CHANGELOG\.md$|^docs\/(decisions\/|architecture\.md|benchmarks\.md)/.test(source)

export function sectionsOf(page: Page, markdown: any): Section[] {
  const weight = isInside(page.source) ? 0.15 : 1
  const sections: Section[] = []
  let headings = 0
  for (const token of markdown.parse(page.text, { guidePage: page })) {
    if (token.type === 'heading_open') {
      const { text, anchor } = page.headings[headings++]!
      const id = headings === 1 ? page.address : `${page.address}#${anchor}`
      sections.push({ id, title: text, page: page.title, text: '', weight })
    }
    const section = sections.at(-1)
    if (section === undefined) continue
    if (token.type === 'inline' && !isTitle(token, section)) section.text += `${textOf(token)} `
    if (token.type === 'fence' && token.info !== 'mermaid') section.text += `${token.content} `
  }
  return sections.map(section => ({ ...section, text: section.text.replace(/\s+/g, ' ').trim() }))
}

const textOf = (token: any): string =>
  token.children
    .map(({ type, content }: any) => (type === 'softbreak' ? ' ' : type === 'html_inline' ? '' : content))
    .join('')

const isTitle = (token: any, { title, text }: Section) => text === '' && textOf(token) === title
