/** What several pages do over time. */
import { useEffect, useRef, useState } from './vendor/htm.js'
import { changeQuery, readAddress } from './address.js'

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
  const known = useRef(inAddress)
  const timer = useRef(0)
  /** @param {string} value */
  const write = value => {
    // The address may have changed since the last key: then that change counts.
    if ((readAddress().query[name] ?? '') !== known.current || value === known.current) return
    const refines = isRefined(known.current, value)
    known.current = value
    changeQuery({ [name]: value, page: undefined }, { refines })
  }
  /** @param {string} value */
  const type = value => {
    setText(value)
    clearTimeout(timer.current)
    timer.current = setTimeout(write, ms, value)
  }
  useEffect(() => {
    if (inAddress === known.current) return
    known.current = inAddress
    clearTimeout(timer.current)
    setText(inAddress)
  }, [inAddress])
  useEffect(() => () => clearTimeout(timer.current), [])
  return [text, type]
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
