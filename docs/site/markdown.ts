/** Markdown to HTML: links between pages, anchors, coloured code and diagrams. */
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { posix } from 'node:path'
import { renderMermaidSVG } from 'beautiful-mermaid'
import { resolveLink, type Guide, type Page } from './pages.ts'

// Not imported: its types would bring those of the DOM into the whole project.
const hljs = createRequire(import.meta.url)('highlight.js/lib/common')
hljs.registerAliases(['console'], { languageName: 'bash' })

/** The colours of a diagram: those of base.css. */
const palettes = {
  light: { bg: '#ffffff', fg: '#17211d' },
  dark: { bg: '#161d1a', fg: '#e6ece9' }
}

/** Changes markdown-it. It is asked with a page as its environment. */
export function amendMarkdown(md: any, guide: Guide, diagrams: Map<string, string>): void {
  md.set({ html: true, highlight })
  md.core.ruler.push('guide', ({ tokens, env }: { tokens: any[]; env: { guidePage: Page } }) => {
    const page = env.guidePage
    setAnchors(tokens, page)
    clearEmptyHeads(tokens)
    for (const token of tokens) setLinks([token, ...(token.children ?? [])], guide, page)
  })
  const renderFence = md.renderer.rules.fence
  md.renderer.rules.fence = (tokens: any[], i: number, options: any, env: any, renderer: any) =>
    tokens[i].info === 'mermaid'
      ? pictureOf(tokens[i].content, env.guidePage, diagrams)
      : renderFence(tokens, i, options, env, renderer).replace('<pre>', '<pre tabindex="0">')
  // A wide table scrolls by itself, as a wide block does: for those who use the keyboard too.
  md.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>\n'
  md.renderer.rules.table_close = () => '</table></div>\n'
}

function highlight(code: string, language: string): string {
  if (hljs.getLanguage(language) === undefined) return ''
  return hljs.highlight(code, { language, ignoreIllegals: true }).value
}

function setAnchors(tokens: any[], page: Page): void {
  const opened = tokens.filter(({ type }) => type === 'heading_open')
  if (opened.length !== page.headings.length) {
    throw new Error(`${page.source} has a heading inside a list or a quote. Let it begin its line.`)
  }
  for (const [i, token] of opened.entries()) token.attrSet('id', page.headings[i]!.anchor)
}

/** A head without a text would be announced as one. */
function clearEmptyHeads(tokens: any[]): void {
  for (const [i, { type, content }] of tokens.entries()) {
    if (type !== 'inline' || content !== '' || tokens[i - 1].type !== 'th_open') continue
    tokens[i - 1].tag = tokens[i + 1].tag = 'td'
  }
}

function setLinks(tokens: any[], guide: Guide, page: Page): void {
  let dropped = false
  for (const token of tokens) {
    if (token.type === 'link_open') {
      const address = resolveLink(guide, page, token.attrGet('href'))
      if (address !== null) token.attrSet('href', address)
      else {
        dropped = true
        token.tag = 'span'
        token.attrs = [['title', `In the repository: ${token.attrGet('href')}`]]
      }
    } else if (token.type === 'link_close' && dropped) {
      dropped = false
      token.tag = 'span'
    } else if (token.type === 'image') {
      token.attrSet('src', resolveLink(guide, page, token.attrGet('src')))
    } else if (token.type === 'html_block' || token.type === 'html_inline') {
      token.content = token.content.replace(
        /\b(src|srcset)="([^"]+)"/g,
        (_: string, name: string, target: string) => `${name}="${resolveLink(guide, page, target)}"`
      )
    }
  }
}

/** A diagram as a picture, once for light and once for dark. Adds its files to `diagrams`. */
function pictureOf(source: string, page: Page, diagrams: Map<string, string>): string {
  const description = /accDescr \{([^}]*)\}/.exec(source)?.[1] ?? ''
  const graph = source.replace(/^ *accTitle:.*\n/m, '').replace(/^ *accDescr \{[^}]*\}\n/m, '')
  const name = createHash('sha256').update(graph).digest('hex').slice(0, 8)
  const place = (shade: keyof typeof palettes) => {
    const address = `diagrams/${name}-${shade}.svg`
    // The picture takes no font from elsewhere.
    const svg = renderMermaidSVG(graph, palettes[shade]).replace(/^.*@import url\(.*\n/m, '')
    diagrams.set(address, svg)
    return posix.relative(posix.dirname(page.address), address)
  }
  const alternative = description.replace(/\s+/g, ' ').trim() || 'A diagram: the text says the same.'
  return (
    '<picture>' +
    `<source media="(prefers-color-scheme: dark)" srcset="${place('dark')}">` +
    `<img src="${place('light')}" alt="${alternative}">` +
    '</picture>\n'
  )
}
