/** The messages of a queue: by state, filtered, and acted on in bulk. */
import { html, useEffect, useRef, useState } from './vendor/htm.js'
import { changeQuery } from './address.js'
import { getText, queuePath } from './api.js'
import { count, plural } from './format.js'
import { readMessages } from './json.js'
import { BulkBar } from './messageBulk.js'
import { Filters, whereOf } from './messageFilters.js'
import { MessageTable } from './messageTable.js'
import { place } from './places.js'
import { may } from './rights.js'
import { states, titleOf } from './states.js'
import { limits } from './tables.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const limit = limits.consoleRowsDefault

/**
 * @typedef {object} List
 * @property {string} asked the queue, the state and the filters
 * @property {any[]} messages
 * @property {string | null} cursor
 * @property {string} counts those of the queue when the list began
 */

/**
 * The pages of the list that have been read. `changed` says whether the counts of the queue have
 * changed since. `wanted` names what is read: when it changes, the list starts again. Where the
 * reader has been before, the rows that were read there are shown again.
 * @param {{ queue: string, state: string, where: object, counts: object, version: number }} props
 */
function useMessages({ queue, state, where, counts, version }) {
  const here = place()
  const asked = JSON.stringify([queue, state, where])
  const kept = here.list?.asked === asked ? here.list : null
  const [list, setList] = useState(/** @type {List | null} */ (kept))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [reads, setReads] = useState(0)
  const shownAt = useRef(/** @type {object | null} */ (null))
  const countsNow = JSON.stringify(counts)
  const wanted = JSON.stringify([asked, version, reads])
  const readPage = async cursor => {
    const page = { limit: String(limit), ...where, ...(state && { state }), ...(cursor && { cursor }) }
    return readMessages(await getText(`${queuePath(queue)}/messages?${new URLSearchParams(page)}`))
  }
  const show = (/** @type {List} */ list) => {
    here.list = list
    if (place() !== here) return
    setList(list)
    setProblem(null)
  }
  useEffect(() => {
    const hasReturned = shownAt.current !== here
    shownAt.current = here
    if (hasReturned && kept !== null) return show(kept)
    let current = true
    readPage(null).then(
      ({ messages, cursor }) => current && show({ asked, messages, cursor, counts: countsNow }),
      error => current && setProblem(error)
    )
    return () => {
      current = false
    }
  }, [wanted, here])
  const readMore = async () => {
    if (list === null) return
    try {
      const { messages, cursor } = await readPage(list.cursor)
      show({ ...list, messages: [...list.messages, ...messages], cursor })
    } catch (error) {
      setProblem(error)
    }
  }
  const reload = () => setReads(n => n + 1)
  return { list, problem, wanted, changed: list !== null && list.counts !== countsNow, readMore, reload }
}

/**
 * The messages that are selected, by id. None is when the list starts again.
 * @param {string} wanted
 */
function useSelection(wanted) {
  const [selected, setSelected] = useState(/** @type {Set<string>} */ (new Set()))
  useEffect(() => setSelected(new Set()), [wanted])
  const toggle = (/** @type {string} */ id) =>
    setSelected(before => {
      const next = new Set(before)
      if (!next.delete(id)) next.add(id)
      return next
    })
  return { selected, setSelected, toggle }
}

/**
 * @param {{ queue: string, counts: Record<string, number>, query: Record<string, string>,
 *   version: number }} props `version` rises when the page has changed the queue
 */
export function Messages({ queue, counts, query, version }) {
  const state = states.includes(query.state) ? query.state : ''
  const where = whereOf(query)
  const { list, problem, wanted, changed, readMore, reload } = useMessages({
    queue,
    state,
    where,
    counts,
    version
  })
  const { selected, setSelected, toggle } = useSelection(wanted)
  const messages = list?.messages ?? []
  const manage = may('manage', queue)
  const filtered = Object.keys(where).length > 0
  const isEmpty = list !== null && messages.length === 0 && list.cursor === null
  return html`<section class="messages" aria-labelledby="messages-title">
    <div class="section-head">
      <h2 id="messages-title">Messages</h2>
      <${ReloadButton} changed=${changed} onClick=${reload} />
    </div>
    <${StateTabs} state=${state} counts=${counts} />
    <${Filters} query=${query} />
    ${
      manage &&
      html`<${BulkBar}
        queue=${queue}
        state=${state}
        where=${where}
        messages=${messages}
        selected=${selected}
        onDone=${reload}
      />`
    }
    <${ProblemNote} problem=${problem} again=${reload} />
    ${isEmpty && !problem && html`<${NoMessages} state=${state} filtered=${filtered} />`}
    ${
      messages.length > 0 &&
      html`<${MessageTable}
        queue=${queue}
        messages=${messages}
        manage=${manage}
        selected=${selected}
        onSelect=${toggle}
        onSelectAll=${setSelected}
      />`
    }
    ${list?.cursor && html`<${MoreButton} shown=${messages.length} onClick=${readMore} />`}
  </section>`
}

function StateTabs({ state, counts }) {
  const tab = (name, title) =>
    html`<button aria-pressed=${name === state} class=${name} onClick=${() => changeQuery({ state: name })}>
      ${title}${name !== '' && html` <b>${count(counts[name] ?? 0)}</b>`}
    </button>`
  const shown = states.filter(name => name !== 'acked' || counts.acked > 0 || state === 'acked')
  return html`<div class="tabs" role="group" aria-label="State">
    ${tab('', 'All')}${shown.map(name => tab(name, titleOf(name)))}
  </div>`
}

function NoMessages({ state, filtered }) {
  if (filtered) return html`<${Empty} title="Nothing matches">Change or clear the filters.</${Empty}>`
  const title = state === '' ? 'The queue is empty' : `No ${state} message`
  const text =
    state === 'dead'
      ? 'Messages that are not tried again appear here. They stay until they are redriven or deleted.'
      : 'Enqueue a message with the button above, or over HTTP.'
  return html`<${Empty} title=${title}>${text}</${Empty}>`
}

function MoreButton({ shown, onClick }) {
  const title = shown === 0 ? 'Search further' : `Load more (${plural(shown, 'message')} shown)`
  return html`<div class="pager"><button onClick=${onClick}>${title}</button></div>`
}
