/**
 * What runs in the browser on /docs. Swagger UI gets these functions as text, so they name nothing outside
 * themselves.
 */

/** Changes what Swagger UI shows: a call that is marked `x-destroys` gets no Execute button. */
export const noExecuteWhereItDestroys = {
  statePlugins: {
    spec: {
      wrapSelectors: {
        allowTryItOutFor: () => (state: any, path: string, method: string) =>
          state.getIn(['json', 'paths', path, method, 'x-destroys']) !== true
      }
    }
  }
}

/**
 * Resolves the references in a call that is opened. All of them lead to shapes of this document. The
 * resolver of Swagger UI reads the whole document for that, each time, which takes 0.3 to 0.5 s. The
 * page shows the name of a shape as its title.
 */
export const quickResolver = {
  fn: {
    resolveSubtree: async (document: any, way: string[]) => {
      const at = (names: string[]) => names.reduce((node, name) => node?.[name], document)
      const resolved = (node: any): any => {
        if (Array.isArray(node)) return node.map(resolved)
        if (typeof node !== 'object' || node === null) return node
        if (typeof node.$ref === 'string') {
          const names = node.$ref.slice(2).split('/')
          return { title: names.at(-1), ...resolved(at(names)) }
        }
        return Object.fromEntries(Object.entries(node).map(([name, each]) => [name, resolved(each)]))
      }
      return { spec: resolved(at(way)), errors: [] }
    }
  }
}

/** Gives the logo its text, each time Swagger UI puts it in place. */
export function nameLogo(): void {
  const { document, MutationObserver } = globalThis as any
  const observer = new MutationObserver(() => {
    const logo = document.querySelector('.topbar-wrapper img')
    if (logo?.alt === '') logo.alt = 'Holdfast'
  })
  observer.observe(document.body, { childList: true, subtree: true })
}

/**
 * Fills in the id and the receipt of the calls before. Asks before a call that changes a queue, a
 * topic or a schedule other than the one of the examples.
 */
export function beforeRequest(request: any): any {
  const browser = globalThis as any
  const memory = browser.holdfast ?? {}
  for (const name of ['id', 'receipt']) {
    if (!memory[name]) continue
    request.url = request.url.replaceAll(`%7B${name}%7D`, memory[name])
    if (typeof request.body === 'string') request.body = request.body.replaceAll(`{${name}}`, memory[name])
  }
  const method = (request.method ?? 'GET').toUpperCase()
  const [, kind, name] = /\/(queue|topic|schedule)s\/([^/?]+)/.exec(request.url) ?? []
  if (method === 'GET' || kind === undefined || name === 'swagger-demo') return request
  const which = `The ${kind} ${decodeURIComponent(name!)}`
  const question = `${which} is not the one of the examples. Send this call to it?`
  if (browser.confirm(question)) return request
  // Swagger UI shows what a fetch throws, and breaks on what this function throws.
  request.userFetch = () => Promise.reject(new Error('Not sent.'))
  return request
}

/** Keeps the id and the receipt of the answer for the next call. */
export function afterResponse(response: any): any {
  const answer = response.body ?? {}
  const message = Array.isArray(answer.messages) ? answer.messages[0] : answer
  const memory = ((globalThis as any).holdfast ??= {})
  for (const name of ['id', 'receipt']) if (message?.[name]) memory[name] = message[name]
  return response
}
