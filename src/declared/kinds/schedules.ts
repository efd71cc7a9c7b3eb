/** Schedules in a file. */
import type { Schedule } from '../../client/types.ts'
import { checkChange, scheduleDefaults, type ScheduleChange as Change } from '../../core/schedule.ts'
import { ScheduleChange, scheduleOperations } from '../../fronts/rest/contract/schedules.ts'
import { nextTime } from '../../jobs/calendar.ts'
import { mapSome, type Service } from '../restService.ts'
import { entriesIn, isThere, pick, type Found, type Kind } from './kind.ts'

async function readNames(service: Service, names: string[]): Promise<Found[]> {
  const found = await mapSome(names, schedule =>
    service.find<Schedule>(scheduleOperations.getSchedule, { schedule }, 'scheduleNotFound')
  )
  return found
    .filter(isThere)
    .map(schedule => ({ id: [schedule.name], fields: pick(schedule, ScheduleChange) }))
}

export const schedules: Kind = {
  section: 'schedules',
  labelOf: ([schedule]) => `schedule ${schedule}`,
  defaults: scheduleDefaults,
  needs: ['queue', 'cron', 'body'],
  isSecret: false,
  entriesOf: entriesIn('schedules'),
  check(fields) {
    const { cron, timezone = 'UTC', headers = {} } = fields as Change
    checkChange({ headers })
    if (cron !== undefined) nextTime(cron, timezone, Date.now())
  },
  async readAll(service) {
    const listed = await service.list<{ name: string }>(scheduleOperations.listSchedules, 'schedules')
    return await readNames(
      service,
      listed.map(({ name }) => name)
    )
  },
  readSome: (service, ids) =>
    readNames(
      service,
      ids.map(([name]) => name)
    ),
  async put(service, { id: [schedule], fields }) {
    await service.call(scheduleOperations.putSchedule, { schedule }, { body: fields })
  },
  async remove(service, [schedule]) {
    await service.call(scheduleOperations.deleteSchedule, { schedule })
  }
}
