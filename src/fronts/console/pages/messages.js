/**
 * The messages of a queue: by state, filtered, each opened in place; what is checked, or all that
 * match, is acted on at once.
 */
import { html, useEffect, useState } from './vendor/htm.js'
import { askForAll, askForIds } from './actions.js'
import { changeQuery, queueAddress } from './address.js'
import { callText, may } from './api.js'
import { Body, Headers, preview } from './body.js'
import { ago, count, plural, time } from './format.js'
import { readMessages } from './json.js'
import { Badge, Empty, ProblemNote, useDebounced } from './ui.js'

const limit = 50
const states = ['ready', 'delayed', 'leased', 'dead', 'acked']

/** The filters of the address, as the service takes them. @param {Record<string, string>} query */
export function whereOf({ contains, reason, after, before }) {
  /** @type {Record<string, string>} */
  const where = {}
  if (contains) where.contains = contains
  if (reason) where.reason = reason
  if (after && !Number.isNaN(Date.parse(after))) where.enqueuedAfter = new Date(after).toISOString()
  if (before && !Number.isNaN(Date.parse(before))) where.enqueuedBefore = new Date(before).toISOString()
  return where
}

/**
 * @param {{ queue: string, counts: Record<string, number>, query: Record<string, string>, version:
 * number }} props `version` rises when something was done here
 */
export function Messages({ queue, counts, query, version }) {
  const state = states.includes(query.state) ? query.state : ''
  const where = whereOf(query)
  const filtered = Object.keys(where).length > 0
  const [list, setList] = useState(
    /** @type {{ messages: any[], cursor: string | null, seen: string } | null} */ (null)
  )
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [checked, setChecked] = useState(/** @type {Set<string>} */ (new Set()))
  const [again, setAgain] = useState(0)

  const read = async cursor => {
    const params = new URLSearchParams({
      limit: String(limit),
      ...where,
      ...(state && { state }),
      ...(cursor && { cursor })
    })
    return readMessages(await callText('GET', `/queues/${encodeURIComponent(queue)}/messages?${params}`))
  }
  const what = JSON.stringify([queue, state, where])
  useEffect(() => {
    let current = true
    setChecked(new Set())
    read('').then(
      page => {
        if (current) {
          setList({ ...page, seen: JSON.stringify(counts) })
          setProblem(null)
        }
      },
      error => {
        if (current) setProblem(error)
      }
    )
    return () => {
      current = false
    }
  }, [what, again, version])
  const more = async () => {
    try {
      const page = await read(list?.cursor)
      setList({
        messages: [...(list?.messages ?? []), ...page.messages],
        cursor: page.cursor,
        seen: list?.seen ?? ''
      })
    } catch (error) {
      setProblem(error)
    }
  }
  const reload = () => setAgain(n => n + 1)
  const changed = list !== null && list.seen !== JSON.stringify(counts)
  const toggle = id =>
    setChecked(before => {
      const next = new Set(before)
      next.has(id) ? next.delete(id) : next.add(id)
      return next
    })
  const shown = list?.messages ?? []
  const all = shown.length > 0 && shown.every(({ id }) => checked.has(id))
  const manage = may('manage', queue)
  const bodyOf = { ...(filtered && { where }) }
  const chosen = shown.filter(({ id }) => checked.has(id))
  const ids = wanted => chosen.filter(message => wanted.includes(message.state)).map(({ id }) => id)
  const act = (verb, wanted, title) =>
    ids(wanted).length > 0 &&
    html`<button
      onClick=${() => askForIds(verb, queue, ids(wanted), reload)}
      class=${verb === 'purge' ? 'danger' : ''}
    >
      ${title} ${count(ids(wanted).length)}
    </button>`

  return html`<section class="messages" aria-labelledby="messages-title">
    <div class="section-head">
      <h2 id="messages-title">Messages</h2>
      <button class="quiet ${changed ? 'changed' : ''}" data-key="r" onClick=${reload} title="Load again (r)">
        ${changed ? '● Changed since: load again' : 'Load again'}
      </button>
    </div>
    <div class="tabs" role="group" aria-label="State">
      ${['', ...states].filter(one => one !== 'acked' || counts.acked > 0 || state === 'acked').map(one => html`<button aria-pressed=${one === state} class=${one} onClick=${() => changeQuery({ state: one || undefined })}>${one === '' ? 'All' : one[0].toUpperCase() + one.slice(1)}${one !== '' && html` <b>${count(counts[one] ?? 0)}</b>`}</button>`)}
    </div>
    <${Filters} query=${query} />
    ${
      manage &&
      html`<div class="bar" role="group" aria-label="Act on messages">
        ${
          checked.size > 0
            ? html`<span><b>${count(chosen.length)}</b> checked</span
                >${act('redrive', ['dead'], 'Redrive')}${act('retry', ['delayed'], 'Retry now')}${act('purge', ['ready', 'delayed', 'dead', 'acked'], 'Cancel')}${chosen.every(one => one.state === 'leased') && html`<span class="hint">A worker holds ${chosen.length === 1 ? 'it' : 'them'}.</span>`}`
            : html`<span class="hint"
                  >${filtered ? 'All that match:' : state === '' ? 'All of a state: choose one ' + 'above, or check messages.' : `All ${state}:`}</span
                >
                ${(state === 'dead' || (state === '' && filtered)) && html`<button onClick=${() => askForAll('redrive', queue, bodyOf, 'dead message', reload)}>Redrive all …</button>`}
                ${(state === 'delayed' || (state === '' && filtered)) && html`<button onClick=${() => askForAll('retry', queue, bodyOf, 'delayed message', reload)}>Retry all now …</button>`}
                ${state !== '' && state !== 'leased' && html`<button class="danger" onClick=${() => askForAll('purge', queue, { state, ...bodyOf }, `${state} message`, reload)}>Cancel all …</button>`}`
        }
      </div>`
    }
    <${ProblemNote} problem=${problem} again=${reload} />
    ${list !== null && shown.length === 0 && list.cursor === null && !problem && html`<${Empty} title=${filtered ? 'Nothing matches' : state === '' ? 'The queue is empty' : `No ${state} message`}>${filtered ? 'Ask for less, or clear the filters.' : state === 'dead' ? 'Whatever fails for the last ' + 'time comes to lie here.' : 'Enqueue one with the button ' + 'above, or over HTTP.'}</${Empty}>`}
    ${
      shown.length > 0 &&
      html`<div class="sheet">
        <table class="rows list">
          <thead>
            <tr>
              ${manage && html`<th><input type="checkbox" aria-label="Check all shown" checked=${all} onChange=${() => setChecked(all ? new Set() : new Set(shown.map(({ id }) => id)))} /></th>`}
              <th>Id</th>
              <th>State</th>
              <th>Body</th>
              <th class="n">Attempt</th>
              <th class="n">Enqueued</th>
            </tr>
          </thead>
          <tbody>
            ${shown.map(message => html`<${MessageRow} key=${message.id} queue=${queue} message=${message} manage=${manage} checked=${checked.has(message.id)} onCheck=${() => toggle(message.id)} />`)}
          </tbody>
        </table>
      </div>`
    }
    ${list?.cursor && html`<div class="pager"><button onClick=${more}>${shown.length === 0 ? 'Look further' : `${plural(shown.length, 'message')} ` + 'shown: load more'}</button></div>`}
  </section>`
}

function Filters({ query }) {
  const [contains, setContains] = useState(query.contains ?? '')
  const [reason, setReason] = useState(query.reason ?? '')
  const words = useDebounced(JSON.stringify([contains, reason]), 400)
  useEffect(() => {
    const [contains, reason] = JSON.parse(words)
    if (contains !== (query.contains ?? '') || reason !== (query.reason ?? '')) {
      changeQuery({ contains, reason })
    }
  }, [words])
  const given = ['contains', 'reason', 'after', 'before'].some(name => query[name])
  const clear = () => {
    setContains('')
    setReason('')
    changeQuery({ contains: undefined, reason: undefined, after: undefined, before: undefined })
  }
  return html`<div class="filters">
    <label
      >Body contains<input
        type="search"
        data-key="/"
        value=${contains}
        onInput=${event => setContains(event.target.value)}
    /></label>
    <label
      >Last reason contains<input
        type="search"
        value=${reason}
        onInput=${event => setReason(event.target.value)}
    /></label>
    <label
      >Enqueued after<input
        type="datetime-local"
        value=${query.after ?? ''}
        onChange=${event => changeQuery({ after: event.target.value })}
    /></label>
    <label
      >and before<input
        type="datetime-local"
        value=${query.before ?? ''}
        onChange=${event => changeQuery({ before: event.target.value })}
    /></label>
    ${given && html`<button class="quiet" onClick=${clear}>Clear</button>`}
  </div>`
}

function MessageRow({ queue, message, manage, checked, onCheck }) {
  const [open, setOpen] = useState(false)
  const { id, state, attempt, maxAttempts, lastFailure, visibleAt, enqueuedAt } = message
  return html`<tr data-row class=${checked ? 'checked' : ''}>
      ${manage && html`<td class="check-cell"><input type="checkbox" aria-label="Check message ${id}" checked=${checked} onChange=${onCheck} /></td>`}
      <td class="name mono"><a class="row-link" href="${queueAddress(queue)}/messages/${id}">${id}</a></td>
      <td>
        <${Badge}
          kind=${state}
        />${visibleAt && html` <small class="hint" title=${time(visibleAt)}>${ago(visibleAt)}</small>`}
      </td>
      <td class="body-cell">
        <button class="peek mono" aria-expanded=${open} onClick=${() => setOpen(!open)}>
          ${preview(message)}</button
        >${lastFailure?.reason && html`<span class="reason" title=${lastFailure.reason}>${lastFailure.reason}</span>`}
      </td>
      <td class="n" data-label="Attempt">${attempt} of ${maxAttempts}</td>
      <td class="n" data-label="Enqueued" title=${time(enqueuedAt)}>${ago(enqueuedAt)}</td>
    </tr>
    ${
      open &&
      html`<tr class="opened">
        <td colspan=${manage ? 6 : 5}>
          <${Body} message=${message} /><${Headers} headers=${message.headers} />
          ${lastFailure && html`<p class="hint">Attempt ${lastFailure.attempt} ended ${ago(lastFailure.at)}: ${lastFailure.reason ?? 'no reason given'}</p>`}
        </td>
      </tr>`
    }`
}
