/** Schedules: when each enqueues which message, and what can be done to it. */
import { html, useState } from './vendor/htm.js'
import { above, toastProblem } from './dialog.js'
import { usePolling } from './hooks.js'
import { mayAnywhere } from './rights.js'
import { readSchedule, readSchedules } from './scheduleCalls.js'
import { ScheduleCard } from './scheduleCard.js'
import { ScheduleDialog } from './scheduleDialog.js'
import { Empty, ProblemNote } from './ui.js'

const pollMs = 10_000

export function SchedulesPage() {
  const [schedules, setSchedules] = useState(/** @type {any[] | null} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const read = () =>
    readSchedules().then(schedules => {
      setSchedules(schedules)
      setProblem(null)
    }, setProblem)
  usePolling(read, pollMs, [])
  const open = schedule => above.dialog(html`<${ScheduleDialog} schedule=${schedule} onDone=${read} />`)
  const edit = name => readSchedule(name).then(open, toastProblem)
  return html`<main class="page">
    <div class="heading">
      <h1>Schedules</h1>
      <span class="spacer"></span>
      <button class="quiet" data-key="r" onClick=${read} title="Reload (r)">Reload</button>
      ${mayAnywhere('manage') && html`<${NewButton} onClick=${() => open(null)} />`}
    </div>
    <${ProblemNote} problem=${problem} again=${read} />
    ${schedules?.length === 0 && html`<${NoSchedules} />`}
    <div class="cards">
      ${schedules?.map(
        schedule =>
          html`<${ScheduleCard}
            key=${schedule.name}
            schedule=${schedule}
            onEdit=${() => edit(schedule.name)}
            onDone=${read}
          />`
      )}
    </div>
  </main>`
}

function NewButton({ onClick }) {
  return html`<button class="primary" data-key="n" onClick=${onClick}>New schedule</button>`
}

function NoSchedules() {
  return html`<${Empty} title="No schedule yet">
    A schedule enqueues a message at the times that a cron expression names. <code>0 7 * * 1-5</code> is 07:00
    from Monday to Friday, in the time zone of your choice. Each run happens once, however many replicas
    there are.
  </${Empty}>`
}
