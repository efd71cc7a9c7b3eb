/** The theme: light, dark, or as the system has it (`auto`). The browser remembers the choice. */
const themes = ['auto', 'light', 'dark']
const themeName = 'holdfast.theme'

export function savedTheme() {
  try {
    return localStorage.getItem(themeName) ?? 'auto'
  } catch {
    return 'auto'
  }
}

/**
 * Shows the theme, remembers it, and tells the page with a `themechange` event.
 * @param {string} theme
 */
export function applyTheme(theme) {
  document.documentElement.dataset.theme = theme
  try {
    localStorage.setItem(themeName, theme)
  } catch {
    /* a browser that stores nothing starts with `auto` each time */
  }
  dispatchEvent(new Event('themechange'))
}

export function nextTheme() {
  const theme = document.documentElement.dataset.theme ?? 'auto'
  applyTheme(themes[(themes.indexOf(theme) + 1) % themes.length])
}
