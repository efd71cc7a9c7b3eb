/** The filters of a list of messages: a piece of the body or of the last reason, and times. */
import { html } from './vendor/htm.js'
import { changeQuery } from './address.js'
import { fromInputTime, inputTime, zoneLabel } from './clock.js'
import { useTypedParam } from './hooks.js'

const debounceMs = 400
const noFilters = {
  contains: undefined,
  reason: undefined,
  group: undefined,
  after: undefined,
  before: undefined
}

/**
 * The filters of the address, as the service takes them.
 * @param {Record<string, string>} query
 */
export function whereOf({ contains, reason, group, after, before }) {
  /** @type {Record<string, string>} */
  const where = {}
  if (contains) where.contains = contains
  if (reason) where.reason = reason
  if (group) where.group = group
  if (after && !Number.isNaN(Date.parse(after))) where.enqueuedAfter = new Date(after).toISOString()
  if (before && !Number.isNaN(Date.parse(before))) where.enqueuedBefore = new Date(before).toISOString()
  return where
}

export function Filters({ query }) {
  const [contains, setContains] = useTypedParam('contains', query, debounceMs)
  const [reason, setReason] = useTypedParam('reason', query, debounceMs)
  const [group, setGroup] = useTypedParam('group', query, debounceMs)
  const any = Object.keys(noFilters).some(name => query[name])
  return html`<div class="filters">
    <${TextFilter} label="Body contains" value=${contains} onText=${setContains} shortcut="/" />
    <${TextFilter} label="Last reason contains" value=${reason} onText=${setReason} />
    <${TextFilter} label="Group" value=${group} onText=${setGroup} />
    <${TimeFilter} label="Enqueued after" value=${query.after} onTime=${after => changeQuery({ after })} />
    <${TimeFilter}
      label="Enqueued before"
      value=${query.before}
      onTime=${before => changeQuery({ before })}
    />
    ${any && html`<button class="quiet" onClick=${() => changeQuery(noFilters)}>Clear</button>`}
  </div>`
}

function TextFilter({ label, value, onText, shortcut }) {
  return html`<label>
    ${label}
    <input type="search" data-key=${shortcut} value=${value} onInput=${event => onText(event.target.value)} />
  </label>`
}

/** A time in the address is in UTC; the field shows it on the clock of the pages. */
function TimeFilter({ label, value = '', onTime }) {
  return html`<label>
    ${label} (${zoneLabel()})
    <input
      type="datetime-local"
      value=${inputTime(value)}
      onChange=${event => onTime(fromInputTime(event.target.value))}
    />
  </label>`
}
