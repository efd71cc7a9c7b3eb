/** What the browser remembers of its reader. One that stores nothing begins anew each time. */

/** @param {string} name */
export function remembered(name) {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(name, value)
  } catch {}
}
