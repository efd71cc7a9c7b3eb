/**
 * All queues: their counts, their rates, the age of the oldest ready message; searched, sorted and
 * cut into pages by the service.
 */
import { html, useEffect, useMemo, useState } from './vendor/htm.js'
import { changeQuery, queueAddress } from './address.js'
import { live, mayAnywhere, root, storedKey } from './api.js'
import { count, plural, rate } from './format.js'
import { SettingsDialog } from './forms.js'
import { above, Badge, Empty, LiveMark, Oldest, Spark, useDebounced } from './ui.js'

const limit = 50
const columns = [
  ['name', 'Queue', ''],
  ['ready', 'Ready', 'n'],
  ['delayed', 'Delayed', 'n'],
  ['leased', 'Leased', 'n'],
  ['dead', 'Dead', 'n'],
  ['oldest', 'Oldest ready', 'n'],
  ['enqueued', 'Enqueued /s', 'n'],
  ['acked', 'Acked /s', 'n']
]

const newQueue = () =>
  above.dialog(
    html`<${SettingsDialog}
      queue=${null}
      settings=${null}
      onDone=${name => {
        location.hash = queueAddress(name)
      }}
    />`
  )

export function QueuesPage({ query }) {
  const [word, setWord] = useState(query.search ?? '')
  const search = useDebounced(word)
  const sort = columns.some(([name]) => name === query.sort) ? query.sort : 'name'
  const descending = query.order === 'down'
  const page = Math.max(0, Number.parseInt(query.page ?? '1') - 1 || 0)
  const [data, setData] = useState(/** @type {any} */ (null))
  const [sparks, setSparks] = useState(/** @type {Record<string, any>} */ ({}))
  const [state, setState] = useState(/** @type {import('./api.js').LiveState} */ ('connecting'))

  useEffect(() => {
    if (search !== (query.search ?? '')) changeQuery({ search, page: undefined })
  }, [search])
  const path = useMemo(
    () =>
      `/console/live?${new URLSearchParams({ search, sort, descending: String(descending), page: String(page), limit: String(limit) })}`,
    [search, sort, descending, page]
  )
  useEffect(
    () =>
      live(
        path,
        data => {
          data.sparks ? setSparks(data.sparks) : setData(data)
        },
        setState
      ),
    [path]
  )

  const sortBy = name =>
    changeQuery({
      sort: name,
      order: name === sort ? (descending ? undefined : 'down') : name === 'name' ? undefined : 'down',
      page: undefined
    })
  return html`<main class="page">
    <div class="heading">
      <h1>Queues</h1>
      <${LiveMark} state=${state} />
    </div>
    ${data && data.total > 0 && html`<${Sums} sums=${data.sums} total=${data.total} />`}
    ${
      (data === null || data.total > 0) &&
      html`<div class="tools">
        <input
          type="search"
          data-key="/"
          placeholder="Search queues"
          aria-label="Search queues"
          value=${word}
          maxlength="80"
          onInput=${event => setWord(event.target.value)}
        />
        <label class="phone"
          >Sort${' '}
          <select
            value=${sort}
            onChange=${event => changeQuery({ sort: event.target.value, order: event.target.value === 'name' ? undefined : 'down', page: undefined })}
          >
            ${columns.map(([name, title]) => html`<option value=${name}>${title}</option>`)}
          </select></label
        >
        <span class="spacer"></span>
        ${mayAnywhere('manage') && html`<button data-key="n" onClick=${newQueue}>New queue</button>`}
      </div>`
    }
    ${data === null && html`<p class="hint">${state === 'connecting' ? 'Reading the queues …' : ''}</p>`}
    ${data && data.total === 0 && html`<${NoQueues} />`}
    ${data && data.total > 0 && data.matched === 0 && html`<${Empty} title="No queue is named so">There ${data.total === 1 ? 'is' : 'are'} ${plural(data.total, 'queue')}, none with “${search}” in its name. <button onClick=${() => setWord('')}>Show all</button></${Empty}>`}
    ${
      data &&
      data.matched > 0 &&
      html`<div class="sheet">
          <table class="rows queues">
            <thead>
              <tr>
                ${columns.map(([name, title, kind]) => html`<th class=${kind} aria-sort=${name === sort ? (descending ? 'descending' : 'ascending') : undefined}><button class="sort" onClick=${() => sortBy(name)}>${title}</button></th>`)}
              </tr>
            </thead>
            <tbody>
              ${data.rows.map(row => html`<${QueueRow} key=${row.queue} row=${row} spark=${sparks[row.queue]} />`)}
            </tbody>
          </table>
        </div>
        <${Pager}
          page=${page}
          limit=${limit}
          matched=${data.matched}
          onPage=${to => changeQuery({ page: to === 0 ? undefined : String(to + 1) })}
        />`
    }
  </main>`
}

function QueueRow({ row, spark }) {
  const number = (name, label) =>
    html`<td class="n ${row[name] > 0 ? name : 'zero'}" data-label=${label}>${count(row[name])}</td>`
  return html`<tr data-row>
    <td class="name">
      <a class="row-link" href=${queueAddress(row.queue)}>${row.queue}</a
      >${row.paused && html` <${Badge} kind="paused" />`}
    </td>
    ${number('ready', 'Ready')}${number('delayed', 'Delayed')}${number('leased', 'Leased')}${number('dead', 'Dead')}
    <td class="n" data-label="Oldest ready"><${Oldest} seconds=${row.oldestReadySeconds} /></td>
    <td class="n" data-label="Enqueued /s">
      <${Spark}
        kind="enqueued"
        label="Enqueued"
        now=${row.enqueuedPerSecond}
        values=${spark?.enqueuedPerSecond}
      />
    </td>
    <td class="n" data-label="Acked /s">
      <${Spark} kind="acked" label="Acked" now=${row.ackedPerSecond} values=${spark?.ackedPerSecond} />
    </td>
  </tr>`
}

function Sums({ sums, total }) {
  const figure = (title, value, kind = '') =>
    html`<div class="figure ${kind}">
      <dt>${title}</dt>
      <dd>${value}</dd>
    </div>`
  return html`<dl class="figures" aria-label="All queues">
    ${figure('Queues', count(total))}${figure('Ready', count(sums.ready), 'ready')}${figure('Delayed', count(sums.delayed), 'delayed')}${figure('Leased', count(sums.leased), 'leased')}${figure('Dead', count(sums.dead), sums.dead > 0 ? 'dead' : '')}
    ${figure('Enqueued /s', rate(sums.enqueuedPerSecond))}${figure('Acked /s', rate(sums.ackedPerSecond))}
  </dl>`
}

function NoQueues() {
  if (!mayAnywhere('enqueue')) {
    return html`<${Empty} title="There is nothing to see for this key">It may browse no queue that is there. A key with <code>browse:*</code> sees all of them.</${Empty}>`
  }
  const key = storedKey() === null ? '' : ' -H "authorization: Bearer $HOLDFAST_KEY"'
  return html`<${Empty} title="No queue yet" command=${'curl -X POST ' + `${root}/queues/mail/messages${key} ` + `-H 'content-type: ` + `application/json' -d ` + `'{"body": {"to": ` + `"ada@example.org"}}'`}>The first message makes its queue. Send one, and it appears here.</${Empty}>`
}

/** Which part of a long list is shown, and the ways to the next and the one before. */
export function Pager({ page, limit, matched, onPage }) {
  if (matched <= limit && page === 0) return null
  const last = Math.max(0, Math.ceil(matched / limit) - 1)
  return html`<nav class="pager" aria-label="Pages of the list">
    <button disabled=${page === 0} onClick=${() => onPage(page - 1)}>← Before</button>
    <span
      >${count(page * limit + 1)}–${count(Math.min(matched, (page + 1) * limit))} of ${count(matched)}</span
    >
    <button disabled=${page >= last} onClick=${() => onPage(page + 1)}>Next →</button>
  </nav>`
}
