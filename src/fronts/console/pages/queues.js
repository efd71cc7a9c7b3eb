/**
 * All queues: their counts, their rates, the age of the oldest ready message. The service searches
 * and sorts them and cuts them into pages.
 */
import { html, useEffect, useState } from './vendor/htm.js'
import { changeQuery, queueAddress } from './address.js'
import { enqueueCommand } from './api.js'
import { above } from './dialog.js'
import { count, plural, rate } from './format.js'
import { useTypedParam } from './hooks.js'
import { live } from './live.js'
import { columns, QueueTable, sortBy, sortFrom } from './queueTable.js'
import { mayAnywhere } from './rights.js'
import { SettingsDialog } from './settingsDialog.js'
import { openStates } from './states.js'
import { limits } from './tables.js'
import { Empty, Figure, LiveMark, StateFigure } from './ui.js'

const limit = limits.consoleRowsDefault
const debounceMs = 200

function openNewQueue() {
  const onDone = name => {
    location.hash = queueAddress(name)
  }
  above.dialog(html`<${SettingsDialog} queue=${null} settings=${null} onDone=${onDone} />`)
}

/** One page of the queues and the rates of the last hour, live. */
function useQueues(search, { sort, descending }, page) {
  const [data, setData] = useState(/** @type {any} */ (null))
  const [sparks, setSparks] = useState(/** @type {Record<string, any>} */ ({}))
  const [liveState, setLiveState] = useState(/** @type {import('./live.js').LiveState} */ ('connecting'))
  const params = { search, sort, descending, page, limit }
  const path = `/console/live?${new URLSearchParams(/** @type {any} */ (params))}`
  useEffect(() => {
    const onData = data => (data.sparks ? setSparks(data.sparks) : setData(data))
    return live(path, onData, setLiveState)
  }, [path])
  return { data, sparks, liveState }
}

export function QueuesPage({ query }) {
  const [word, setWord] = useTypedParam('search', query, debounceMs)
  const search = query.search ?? ''
  const order = sortFrom(query)
  const page = Math.max(0, Number.parseInt(query.page ?? '1') - 1 || 0)
  const { data, sparks, liveState } = useQueues(search, order, page)
  const total = data?.total ?? 0
  return html`<main class="page">
    <div class="heading">
      <h1>Queues</h1>
      <${LiveMark} state=${liveState} />
    </div>
    ${total > 0 && html`<${Sums} sums=${data.sums} total=${total} />`}
    ${(data === null || total > 0) && html`<${Tools} word=${word} onWord=${setWord} sort=${order.sort} />`}
    ${data && data.leftOut !== 0 && html`<${LeftOut} total=${total} leftOut=${data.leftOut} />`}
    ${data === null && html`<p class="hint">${liveState === 'connecting' ? 'Loading the queues …' : ''}</p>`}
    ${data && total === 0 && html`<${NoQueues} />`}
    ${
      total > 0 &&
      data.matched === 0 &&
      html`<${NoMatch} total=${total} search=${search} onClear=${() => setWord('')} />`
    }
    ${
      data &&
      data.matched > 0 &&
      html`
        <${QueueTable} rows=${data.rows} sparks=${sparks} order=${order} />
        <${Pager} page=${page} matched=${data.matched} />
      `
    }
  </main>`
}

/** Search, a new queue, and on a phone the order: on wide screens it is chosen by column titles. */
function Tools({ word, onWord, sort }) {
  return html`<div class="tools">
    <input
      type="search"
      data-key="/"
      placeholder="Search queues"
      aria-label="Search queues"
      value=${word}
      maxlength=${limits.nameCharsMax}
      onInput=${event => onWord(event.target.value)}
    />
    <label class="phone">
      Sort${' '}
      <select value=${sort} onChange=${event => sortBy(event.target.value)}>
        ${columns.map(([name, title]) => html`<option value=${name}>${title}</option>`)}
      </select>
    </label>
    <span class="spacer"></span>
    ${mayAnywhere('manage') && html`<button data-key="n" onClick=${openNewQueue}>New queue</button>`}
  </div>`
}

/** The figures of all queues together. */
function Sums({ sums, total }) {
  return html`<dl class="figures" aria-label="All queues">
    <${Figure} title="Queues">${count(total)}</${Figure}>
    ${openStates.map(state => html`<${StateFigure} state=${state} messages=${sums[state]} />`)}
    <${Figure} title="Enqueued /s">${rate(sums.enqueuedPerSecond)}</${Figure}>
    <${Figure} title="Acked /s">${rate(sums.ackedPerSecond)}</${Figure}>
  </dl>`
}

/** The service lists so many queues and no more. A key that may not browse all learns no numbers. */
const LeftOut = ({ total, leftOut }) =>
  html`<p class="warn">
    ${
      leftOut === null
        ? 'The service has more queues than this list can hold, so some of yours may be missing.'
        : `This list holds the first ${count(total)} queues by name. It leaves out ${count(leftOut)}.`
    }
  </p>`

function NoQueues() {
  if (!mayAnywhere('enqueue')) {
    return html`<${Empty} title="No queue for this key">
      This key may browse none of the queues here. A key with <code>browse:*</code> sees all of them.
    </${Empty}>`
  }
  const command = enqueueCommand('mail', '{"to": "ada@example.org"}')
  return html`<${Empty} title="No queue yet" command=${command}>
    The first message to a queue creates the queue. Send one, and the queue appears here.
  </${Empty}>`
}

function NoMatch({ total, search, onClear }) {
  const queues = `${total === 1 ? 'is' : 'are'} ${plural(total, 'queue')}`
  return html`<${Empty} title="No queue matches">
    There ${queues}, none with “${search}” in its name. <button onClick=${onClear}>Show all queues</button>
  </${Empty}>`
}

/** Says which of the matching queues are shown, and goes to the page before or after. */
function Pager({ page, matched }) {
  if (matched <= limit && page === 0) return null
  const last = Math.max(0, Math.ceil(matched / limit) - 1)
  const goTo = to => () => changeQuery({ page: to === 0 ? undefined : String(to + 1) })
  const [from, until] = [page * limit + 1, Math.min(matched, (page + 1) * limit)]
  return html`<nav class="pager" aria-label="Pages of the list">
    <button disabled=${page === 0} onClick=${goTo(page - 1)}>← Previous</button>
    <span>${count(from)}–${count(until)} of ${count(matched)}</span>
    <button disabled=${page >= last} onClick=${goTo(page + 1)}>Next →</button>
  </nav>`
}
