/** One queue: its counts and its last hour, its settings, what can be done to it, and its messages. */
import { html, useEffect, useState } from './vendor/htm.js'

import { call, live, may } from './api.js'
import { askForAll } from './actions.js'
import { Chart } from './chart.js'
import { EnqueueDialog, SettingsDialog } from './forms.js'
import { count, duration, rate } from './format.js'
import { Messages } from './messages.js'
import { above, Badge, Command, confirm, LiveMark, Oldest, ProblemNote } from './ui.js'

const seriesMs = 30_000

export function QueuePage({ queue, query }) {
  const path = `/queues/${encodeURIComponent(queue)}`
  const [row, setRow] = useState(/** @type {any} */ (undefined))
  const [state, setState] = useState(/** @type {import('./api.js').LiveState} */ ('connecting'))
  const [report, setReport] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [version, setVersion] = useState(0)

  useEffect(
    () => live(`/console/live/${encodeURIComponent(queue)}`, ({ row }) => setRow(row), setState),
    [queue]
  )
  useEffect(() => {
    call('GET', path).then(report => {
      setReport(report)
      setProblem(null)
    }, setProblem)
  }, [queue, version, row?.paused, row === null])
  const changed = () => setVersion(n => n + 1)

  const crumbs = html`<p class="crumbs"><a href="#/">Queues</a> /</p>`
  if (problem?.code === 'queueNotFound') {
    return html`<main class="page">
      ${crumbs}
      <div class="heading"><h1>${queue}</h1></div>
      <div class="empty">
        <h3>There is no such queue</h3>
        <p>
          It has been deleted, or this key has no right to it. The first message enqueued to a queue makes it.
        </p>
        <${Command}
          text=${`curl -X POST ${location.origin}/queues/${queue}/messages -H 'content-type: ` + `application/json' -d ` + `'{"body": {}}'`}
        />
      </div>
    </main>`
  }
  if (report === null) {
    return html`<main class="page">
      ${crumbs}
      <div class="heading"><h1>${queue}</h1></div>
      <${ProblemNote} problem=${problem} again=${changed} />
    </main>`
  }
  const counts = {
    ...report.counts,
    ...(row && {
      ready: row.ready,
      delayed: row.delayed,
      leased: row.leased,
      dead: row.dead,
      acked: row.acked
    })
  }
  const paused = row ? row.paused : report.settings.paused
  const { settings } = report

  const pause = async () => {
    if (paused) {
      await call('PUT', path, { paused: false }).then(
        () => {
          above.toast('Leases go on.')
          changed()
        },
        error => above.toast(error.message, true)
      )
    } else {
      confirm({
        title: `Pause ${queue}?`,
        text:
          'Leases give nothing while it is paused. Enqueues go on, and what is leased can still ' +
          'be settled.',
        yes: 'Pause',
        act: async () => {
          await call('PUT', path, { paused: true })
          above.toast(`${queue} is paused.`)
          changed()
        }
      })
    }
  }
  const remove = () =>
    confirm({
      title: `Delete ${queue}?`,
      text:
        'The queue and all in it are removed: ' +
        `${count(counts.ready + counts.delayed + counts.leased + counts.dead)} messages ` +
        'just now. It cannot be undone.',
      yes: 'Delete the queue',
      danger: true,
      act: async () => {
        await call('DELETE', path)
        location.hash = '#/'
      }
    })
  const manage = may('manage', queue)

  return html`<main class="page">
    ${crumbs}
    <div class="heading">
      <h1>${queue}</h1>
      ${paused && html`<${Badge} kind="paused" />`}<${LiveMark} state=${state} /><span class="spacer"></span>
      ${may('enqueue', queue) && html`<button class="primary" data-key="n" title="Enqueue a message (n)" onClick=${() => above.dialog(html`<${EnqueueDialog} queue=${queue} onDone=${changed} />`)}>Enqueue</button>`}
      ${
        manage &&
        html`<button onClick=${pause}>${paused ? 'Resume' : 'Pause …'}</button>
          ${counts.dead > 0 && html`<button onClick=${() => askForAll('redrive', queue, {}, 'dead message', changed)}>Redrive dead …</button>`}
          <button
            onClick=${() => above.dialog(html`<${SettingsDialog} queue=${queue} settings=${settings} onDone=${changed} />`)}
          >
            Settings
          </button>
          <details class="menu">
            <summary aria-label="More">⋯</summary>
            <div>
              <button class="danger" onClick=${() => askForAll('purge', queue, {}, 'message', changed)}>
                Purge all …</button
              ><button class="danger" onClick=${remove}>Delete the queue …</button>
            </div>
          </details>`
      }
    </div>
    <dl class="figures" aria-label="Counts">
      ${['ready', 'delayed', 'leased', 'dead'].map(
        one =>
          html`<div class="figure ${one === 'dead' && counts.dead === 0 ? '' : one}">
            <dt>${one[0].toUpperCase() + one.slice(1)}</dt>
            <dd>${count(counts[one])}</dd>
          </div>`
      )}
      ${
        settings.keepAckedSeconds > 0 &&
        html`<div class="figure acked">
          <dt>Acked, kept</dt>
          <dd>${count(counts.acked)}</dd>
        </div>`
      }
      <div class="figure">
        <dt>Oldest ready</dt>
        <dd><${Oldest} seconds=${row ? row.oldestReadySeconds : report.oldestReadySeconds} /></dd>
      </div>
      <div class="figure">
        <dt>Enqueued /s</dt>
        <dd>${rate(row?.enqueuedPerSecond)}</dd>
      </div>
      <div class="figure">
        <dt>Acked /s</dt>
        <dd>${rate(row?.ackedPerSecond)}</dd>
      </div>
      <div class="figure">
        <dt title="acked / (acked + dead + expired)">Reliability</dt>
        <dd>
          ${report.reliability === null ? '–' : `${(Math.floor(report.reliability * 10_000) / 100).toFixed(2)} ` + '%'}
        </dd>
      </div>
    </dl>
    <${Charts} queue=${queue} />
    <p class="settings-line">
      Lease ${duration(settings.leaseSeconds)} · ${settings.maxAttempts} attempts · retries${' '}
      ${settings.retry.strategy} from ${duration(settings.retry.delaySeconds)} to${' '}
      ${duration(settings.retry.maxDelaySeconds)}${settings.retry.jitter ? ', spread' : ''} · kept${' '}
      ${duration(settings.retentionSeconds)}${settings.keepAckedSeconds > 0 ? ' · acked kept ' + `${duration(settings.keepAckedSeconds)}` : ''}${settings.maxDepth === null ? '' : ' · at most ' + `${count(settings.maxDepth)} ` + 'messages'}
    </p>
    <${Messages} queue=${queue} counts=${counts} query=${query} version=${version} />
  </main>`
}

function Charts({ queue }) {
  const [series, setSeries] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  useEffect(() => {
    const read = () => {
      if (!document.hidden) {
        call('GET', `/queues/${encodeURIComponent(queue)}/series`).then(series => {
          setSeries(series)
          setProblem(null)
        }, setProblem)
      }
    }
    read()
    const timer = setInterval(read, seriesMs)
    document.addEventListener('visibilitychange', read)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', read)
    }
  }, [queue])
  if (series === null) {
    return html`<${ProblemNote} problem=${problem} />
      <div class="charts waiting"></div>`
  }
  const { at } = series
  return html`<div class="charts">
    <${Chart}
      title="Messages"
      unit="count"
      at=${at}
      lines=${[
        { label: 'Ready', kind: 'ready', values: series.ready },
        { label: 'Leased', kind: 'leased', values: series.leased },
        { label: 'Dead', kind: 'dead', values: series.dead }
      ]}
    />
    <${Chart}
      title="Per second"
      unit="rate"
      at=${at}
      lines=${[
        { label: 'Enqueued', kind: 'ready', values: series.enqueuedPerSecond },
        { label: 'Acked', kind: 'acked', values: series.ackedPerSecond },
        { label: 'Failed', kind: 'dead', values: series.failedPerSecond }
      ]}
    />
    <${Chart}
      title="Waiting time"
      unit="duration"
      at=${at}
      lines=${[
        { label: 'Half within', kind: 'delayed', values: series.waitSecondsP50 },
        { label: '95 % within', kind: 'leased', values: series.waitSecondsP95 }
      ]}
    />
  </div>`
}
