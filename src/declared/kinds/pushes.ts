/** Pushes in a file, by queue. */
import type { Push } from '../../client/types.ts'
import { checkPush, pushDefaults } from '../../core/push.ts'
import { PushChange, pushOperations } from '../../fronts/rest/contract/push.ts'
import { codeOf, mapSome, type Service } from '../restService.ts'
import { entriesIn, isThere, pick, type Found, type Kind } from './kind.ts'
import { queues } from './queues.ts'

const find = (service: Service, queue: string) =>
  service.find<Push>(pushOperations.getPush, { queue }, 'pushNotFound')

const foundIn = (push: Push): Found => ({ id: [push.queue], fields: pick(push, PushChange) })

export const pushes: Kind = {
  section: 'push',
  labelOf: ([queue]) => `push ${queue}`,
  defaults: pushDefaults,
  needs: ['url'],
  isSecret: true,
  entriesOf: entriesIn('push'),
  check: checkPush,
  async readAll(service) {
    const all = await queues.readAll(service)
    const found = await mapSome(all, ({ id: [queue] }) =>
      find(service, queue).catch(error => {
        if (codeOf(error) !== 'forbidden') throw error
        service.hidden.add('the push of queues that the key may not manage')
        return null
      })
    )
    return found.filter(isThere).map(foundIn)
  },
  async readSome(service, ids) {
    const found = await mapSome(ids, ([queue]) => find(service, queue))
    return found.filter(isThere).map(foundIn)
  },
  async put(service, { id: [queue], fields, isNew }, keep) {
    const { secret } = await service.call<Push>(pushOperations.putPush, { queue }, { body: fields })
    if (secret !== undefined) await keep('push', queue, secret)
    else if (isNew) {
      throw new Error(
        'It is made, and the answer with its secret was lost. ' +
          `POST /queues/${queue}/push/rotate makes another one.`
      )
    }
  },
  async remove(service, [queue]) {
    await service.call(pushOperations.deletePush, { queue })
  }
}
