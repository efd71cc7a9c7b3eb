/** What several pages do over time. */
import { useEffect, useRef, useState } from './vendor/htm.js'
import { changeQuery } from './address.js'

/**
 * A value that follows what is typed, a moment later.
 * @param {string} value
 * @param {number} ms
 */
function useDebounced(value, ms) {
  const [late, setLate] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), ms)
    return () => clearTimeout(timer)
  }, [value])
  return late
}

/** Whether one text is only a longer or a shorter start of the other, as while it is typed. */
const isRefined = (/** @type {string} */ before, /** @type {string} */ after) =>
  before !== '' && after !== '' && (before.startsWith(after) || after.startsWith(before))

/**
 * A text that is typed into a field and goes into the address a moment later. When the address
 * changes otherwise, as by Back, the field follows.
 * @param {string} name
 * @param {Record<string, string>} query
 * @param {number} ms
 * @returns {[string, (text: string) => void]}
 */
export function useTypedParam(name, query, ms) {
  const inAddress = query[name] ?? ''
  const [text, setText] = useState(inAddress)
  const written = useRef(inAddress)
  const typed = useDebounced(text, ms)
  useEffect(() => {
    if (typed === written.current) return
    const refines = isRefined(written.current, typed)
    written.current = typed
    changeQuery({ [name]: typed, page: undefined }, { refines })
  }, [typed])
  useEffect(() => {
    if (inAddress === written.current) return
    written.current = inAddress
    setText(inAddress)
  }, [inAddress])
  return [text, setText]
}

/**
 * Reads now and every `ms` milliseconds, but not while the tab is hidden.
 * @param {() => void} read
 * @param {number} ms
 * @param {any[]} inputs when one of them changes, reading starts again
 */
export function usePolling(read, ms, inputs) {
  useEffect(() => {
    read()
    const timer = setInterval(() => {
      if (!document.hidden) read()
    }, ms)
    return () => clearInterval(timer)
  }, inputs)
}
