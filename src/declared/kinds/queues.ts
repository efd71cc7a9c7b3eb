/** Queues in a file, with their settings. */
import type { QueueReport } from '../../client/types.ts'
import { settings, type SettingGroup, type SettingRow } from '../../core/settings.ts'
import { queueOperations } from '../../fronts/rest/contract/queues.ts'
import { mapSome } from '../restService.ts'
import type { Fields } from '../shape.ts'
import { entriesIn, isThere, type Found, type Kind } from './kind.ts'

const defaultsOf = (rows: Record<string, SettingRow | SettingGroup>): Fields =>
  Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [
      name,
      'members' in row ? defaultsOf(row.members) : row.default
    ])
  )

const foundIn = ({ queue, settings, counts }: QueueReport): Found => ({
  id: [queue],
  fields: { ...settings },
  messages: Object.values(counts).reduce((sum, count) => sum + count, 0)
})

export const queues: Kind = {
  section: 'queues',
  labelOf: ([queue]) => `queue ${queue}`,
  defaults: defaultsOf(settings),
  needs: [],
  isSecret: false,
  entriesOf: entriesIn('queues'),
  namedElsewhere: ({ queues = {}, topics = {}, schedules = {}, push = {} }) =>
    new Set([
      ...Object.values(queues).map(({ deadLetterQueue }) => deadLetterQueue),
      ...Object.values(topics).flatMap(({ subscriptions }) => Object.keys(subscriptions)),
      ...Object.values(schedules).map(({ queue }) => queue),
      ...Object.keys(push)
    ]),
  async readAll(service) {
    return (await service.list<QueueReport>(queueOperations.listQueues, 'queues')).map(foundIn)
  },
  async readSome(service, ids) {
    const reports = await mapSome(ids, ([queue]) =>
      service.find<QueueReport>(queueOperations.getQueue, { queue }, 'queueNotFound')
    )
    return reports.filter(isThere).map(foundIn)
  },
  async put(service, { id: [queue], fields }) {
    await service.call(queueOperations.putQueue, { queue }, { body: fields })
  },
  async remove(service, [queue], withMessages) {
    const query = withMessages ? {} : { ifEmpty: true }
    await service.call(queueOperations.deleteQueue, { queue }, { query })
  }
}
