/** For admins: who holds how much of each bound that callers of this replica share. */
import { html } from './vendor/htm.js'
import { get } from './api.js'
import { count } from './format.js'
import { useAnswer } from './hooks.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const readMs = 5000

/** The bounds, and the names of the keys by id. */
async function readShares() {
  const [{ shares }, { keys }] = await Promise.all([get('/console/shares'), get('/keys')])
  return { shares, names: new Map(keys.map(({ id, name }) => [id, name])) }
}

export function SharesPage() {
  const { answer, problem, readNow } = useAnswer(readShares, { inputs: [], everyMs: readMs })
  return html`<main class="page">
    <div class="heading">
      <h1>Shares</h1>
      <span class="spacer"></span>
      <${ReloadButton} onClick=${readNow} />
    </div>
    <p class="hint">
      What callers hold now of each bound that they share. Each replica counts for itself: this is the one
      that answered.
    </p>
    <${ProblemNote} problem=${problem} again=${readNow} />
    ${answer?.shares.length === 0 && html`<${Empty} title="No bound is shared">Nothing to show.</${Empty}>`}
    ${answer?.shares.length > 0 && html`<${ShareTable} ...${answer} />`}
  </main>`
}

function ShareTable({ shares, names }) {
  return html`<div class="sheet">
    <table class="rows shares">
      <thead>
        <tr>
          <th>Bound</th>
          <th class="n">Held</th>
          <th class="n">Of</th>
          <th class="n">Refused</th>
          <th>Held most by</th>
        </tr>
      </thead>
      <tbody>
        ${shares.map(share => html`<${ShareRow} key=${share.name} share=${share} names=${names} />`)}
      </tbody>
    </table>
  </div>`
}

function ShareRow({ share: { name, total, held, refused, callers }, names }) {
  return html`<tr>
    <td>${name.replaceAll('_', ' ')}</td>
    <td class="n">
      <meter min="0" max=${total} high=${total * 0.8} value=${held} aria-label="Held of ${name}"></meter>
      ${count(held)}
    </td>
    <td class="n">${count(total)}</td>
    <td class="n ${refused > 0 ? 'warn' : ''}">${count(refused)}</td>
    <td>
      ${
        callers.length === 0
          ? '–'
          : html`<ul class="holders">
              ${callers.map(({ id, held }) => html`<li><b>${names.get(id) ?? id}</b> ${count(held)}</li>`)}
            </ul>`
      }
    </td>
  </tr>`
}
