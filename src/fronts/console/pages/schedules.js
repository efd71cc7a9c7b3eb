/** Schedules: when each enqueues which message, and what can be done to it. */
import { html } from './vendor/htm.js'
import { above, toastProblem } from './dialog.js'
import { useAnswer } from './hooks.js'
import { mayAnywhere } from './rights.js'
import { readSchedule, readSchedules } from './scheduleCalls.js'
import { ScheduleCard } from './scheduleCard.js'
import { ScheduleDialog } from './scheduleDialog.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const readMs = 10_000

export function SchedulesPage() {
  const { answer: schedules, problem, readNow } = useAnswer(readSchedules, { inputs: [], everyMs: readMs })
  const open = schedule => above.dialog(html`<${ScheduleDialog} schedule=${schedule} onDone=${readNow} />`)
  const edit = name => readSchedule(name).then(open, toastProblem)
  return html`<main class="page">
    <div class="heading">
      <h1>Schedules</h1>
      <span class="spacer"></span>
      <${ReloadButton} onClick=${readNow} />
      ${mayAnywhere('manage') && html`<${NewButton} onClick=${() => open(null)} />`}
    </div>
    <${ProblemNote} problem=${problem} again=${readNow} />
    ${schedules?.length === 0 && html`<${NoSchedules} />`}
    <div class="cards">
      ${schedules?.map(
        schedule =>
          html`<${ScheduleCard}
            key=${schedule.name}
            schedule=${schedule}
            onEdit=${() => edit(schedule.name)}
            onDone=${readNow}
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
