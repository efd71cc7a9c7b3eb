/** Where the reader is: `#/queues/mail?state=dead` as path segments and parameters. */

export function readAddress() {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return {
    parts: path.split('/').filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query))
  }
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/**
 * Changes parameters of the address without a step in the browser's history. @param
 * {Record<string, string | undefined>} change
 */
export function changeQuery(change) {
  const { query } = readAddress()
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...query, ...change })) {
    if (value !== undefined && value !== '') params.set(name, value)
  }
  history.replaceState(
    null,
    '',
    `${location.hash.split('?')[0] || '#/'}${params.size > 0 ? `?${params}` : ''}`
  )
  dispatchEvent(new Event('hashchange'))
}

/** @param {string} queue */
export const queueAddress = queue => `#/queues/${encodeURIComponent(queue)}`
