/** The figures of a queue, and its settings in a line. */
import { html } from './vendor/htm.js'
import { queueAddress } from './address.js'
import { time } from './clock.js'
import { count, duration, plural, rate } from './format.js'
import { openStates } from './states.js'
import { limits } from './tables.js'
import { Figure, Oldest, StateFigure } from './ui.js'

/**
 * Rounded down, so that it is 100 % only when no message was lost.
 * @param {number | null} share
 */
const percent = share => (share === null ? '–' : `${(Math.floor(share * 10_000) / 100).toFixed(2)} %`)

/** `row` holds the live figures, null or undefined where there are none. */
export function QueueFigures({ counts, report, row }) {
  const { oldestReadySeconds } = row ?? report
  const { nextTokenAt } = report.limits
  return html`<dl class="figures" aria-label="Counts">
    ${openStates.map(state => html`<${StateFigure} state=${state} messages=${counts[state]} />`)}
    ${
      report.settings.keepAckedSeconds > 0 &&
      html`<${Figure} title="Acked (kept)" kind="acked">${count(counts.acked)}</${Figure}>`
    }
    ${
      report.limits.places !== null &&
      html`<${Figure} title="Leased, of at most">
        ${count(counts.leased)} / ${count(report.settings.maxLeased)}
      </${Figure}>`
    }
    ${
      report.limits.tokens !== null &&
      html`<${Figure} title="Leases free now" hint="by the rate">
        ${count(report.limits.tokens)}
        ${nextTokenAt && html`<small>next <time datetime=${nextTokenAt}>${time(nextTokenAt)}</time></small>`}
      </${Figure}>`
    }
    <${Figure} title="Oldest ready"><${Oldest} seconds=${oldestReadySeconds} /></${Figure}>
    <${Figure} title="Enqueued /s">${rate(row?.enqueuedPerSecond)}</${Figure}>
    <${Figure} title="Acked /s">${rate(row?.ackedPerSecond)}</${Figure}>
    <${Figure} title="Reliability" hint="acked / (acked + dead + expired)">
      ${percent(report.reliability)}
    </${Figure}>
  </dl>`
}

const rateText = ({ messages, perSeconds }) => `${plural(messages, 'lease')} in ${duration(perSeconds)}`

export function SettingsLine({ settings }) {
  const { leaseSeconds, maxAttempts, retry, retentionSeconds, keepAckedSeconds, maxDepth } = settings
  const { delaySeconds, ttlSeconds, waitSeconds, messageBytesMax, maxLeased, tags, deadLetterQueue } =
    settings
  const { maxLeasedPerGroup, ratePerGroup, ordering, fairness } = settings
  const delays = `from ${duration(retry.delaySeconds)} to ${duration(retry.maxDelaySeconds)}`
  const facts = [
    `Lease ${duration(leaseSeconds)}`,
    maxAttempts === null ? 'attempts without end' : `${maxAttempts} attempts`,
    `${retry.strategy} retries ${delays}${retry.jitter ? ', plus a random delay' : ''}`,
    `messages kept ${duration(retentionSeconds)}`,
    keepAckedSeconds > 0 && `acked messages kept ${duration(keepAckedSeconds)}`,
    maxDepth !== null && `at most ${count(maxDepth)} messages`,
    maxLeased !== null && `at most ${count(maxLeased)} leased at once`,
    maxLeasedPerGroup !== null && `at most ${count(maxLeasedPerGroup)} of a group`,
    settings.rate !== null && `at most ${rateText(settings.rate)}`,
    ratePerGroup !== null && `at most ${rateText(ratePerGroup)} of a group`,
    ordering === 'queue' && 'in order',
    ordering === 'group' && 'each group in order',
    fairness === 'group' && 'groups take turns',
    delaySeconds > 0 && `delayed by ${duration(delaySeconds)}`,
    ttlSeconds !== null && `live for ${duration(ttlSeconds)}`,
    waitSeconds > 0 && `leases wait ${duration(waitSeconds)}`,
    messageBytesMax < limits.messageBytesMax && `bodies up to ${count(messageBytesMax)} bytes`,
    ...Object.entries(tags).map(([name, value]) => (value === '' ? name : `${name}: ${value}`))
  ]
  return html`<p class="settings-line">
    ${facts.filter(Boolean).join(' · ')}
    ${
      deadLetterQueue !== null &&
      html` · dead messages go to <a href=${queueAddress(deadLetterQueue)}>${deadLetterQueue}</a>`
    }
  </p>`
}
