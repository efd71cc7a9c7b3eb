/** The theme: light, dark, or as the system has it (`auto`). The browser remembers the choice. */
import { remember, remembered } from './remembered.js'

const themes = ['auto', 'light', 'dark']
const themeName = 'holdfast.theme'

export const savedTheme = () => remembered(themeName) ?? 'auto'

/**
 * Shows the theme, remembers it, and tells the page with a `themechange` event.
 * @param {string} theme
 */
export function applyTheme(theme) {
  document.documentElement.dataset.theme = theme
  remember(themeName, theme)
  dispatchEvent(new Event('themechange'))
}

/** Changes to the next theme: auto, light, dark. */
export function nextTheme() {
  const theme = document.documentElement.dataset.theme ?? 'auto'
  applyTheme(themes[(themes.indexOf(theme) + 1) % themes.length])
}
