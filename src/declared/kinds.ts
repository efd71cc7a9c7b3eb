/** The kinds of things in a file, in the order in which they are made. They are removed in reverse. */
import { isDeepStrictEqual } from 'node:util'
import type { TSchema } from 'typebox'
import { makeKey } from '../core/apiKey.ts'
import { pushDefaults } from '../core/push.ts'
import { scheduleDefaults } from '../core/schedule.ts'
import { settings, type SettingGroup, type SettingRow } from '../core/settings.ts'
import { patternDefault } from '../core/topic.ts'
import { apiKeyOperations, KeyChange } from '../fronts/rest/contract/apiKeys.ts'
import { PushChange, pushOperations } from '../fronts/rest/contract/push.ts'
import { queueOperations } from '../fronts/rest/contract/queues.ts'
import { ScheduleChange, scheduleOperations } from '../fronts/rest/contract/schedules.ts'
import { topicOperations } from '../fronts/rest/contract/topics.ts'
import type { KeyInfo, QueueReport, Topic } from '../client/types.ts'
import { codeOf, mapSome, type Service } from './restService.ts'
import type { Declared, Fields } from './shape.ts'

/** What names a thing within its kind: a queue, or a topic and a queue. */
export type Id = [string, string?]

/** A thing as the file declares it. */
export interface Entry {
  id: Id
  /** Where it stands in the file. */
  path: string[]
  fields: Fields
}

/** A thing as the service has it. */
export interface Found {
  id: Id
  /** All of them. Of keys with one name, a field in which they differ is undefined. */
  fields: Fields
  /** That a queue holds, in any state. */
  messages?: number
  /** The calls have this key. */
  isOwn?: boolean
}

/** A secret that the service shows once. */
export type KeepSecret = (kind: 'key' | 'push', name: string, secret: string) => Promise<void>

export interface Kind {
  section: keyof Declared
  labelOf(id: Id): string
  /** Fields that a new one may leave out. */
  defaults: Fields
  /** Fields that a new one must have. */
  needs: string[]
  /** A new one has a secret. */
  isSecret: boolean
  entriesOf(declared: Declared): Entry[]
  /** Those of `ids` that are there; with null all that the key may see. */
  read(service: Service, ids: Id[] | null): Promise<Found[]>
  /** Makes one, or changes these fields of it. */
  put(service: Service, id: Id, fields: Fields, isNew: boolean, keep: KeepSecret): Promise<void>
  /** Removes one. A queue that holds a message stays and is refused, unless `withMessages`. */
  remove(service: Service, id: Id, withMessages: boolean): Promise<void>
}

/** Entries of a section whose names are the ids. */
const entriesIn = (section: 'queues' | 'schedules' | 'push' | 'keys') => (declared: Declared) =>
  Object.entries(declared[section] ?? {}).map(([name, fields]): Entry => ({
    id: [name],
    path: [section, name],
    fields
  }))

/** The fields that a call takes, of those that its answer has. */
function pick(answer: object, shape: TSchema): Fields {
  const names = Object.keys((shape as unknown as { properties: object }).properties)
  return Object.fromEntries(Object.entries(answer).filter(([name]) => names.includes(name)))
}

const isThere = <T>(value: T | null): value is T => value !== null

const defaultsOf = (rows: Record<string, SettingRow | SettingGroup>): Fields =>
  Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [
      name,
      'members' in row ? defaultsOf(row.members) : row.default
    ])
  )

const queues: Kind = {
  section: 'queues',
  labelOf: ([queue]) => `queue ${queue}`,
  defaults: defaultsOf(settings),
  needs: [],
  isSecret: false,
  entriesOf: entriesIn('queues'),
  async read(service, ids) {
    const reports =
      ids === null
        ? await service.list<QueueReport>(queueOperations.listQueues, 'queues')
        : await mapSome(ids, ([queue]) =>
            service.find<QueueReport>(queueOperations.getQueue, { queue }, 'queueNotFound')
          )
    return reports.filter(isThere).map(({ queue, settings, counts }) => ({
      id: [queue],
      fields: { ...settings },
      messages: Object.values(counts).reduce((sum, count) => sum + count, 0)
    }))
  },
  async put(service, [queue], fields) {
    await service.call(queueOperations.putQueue, { queue }, { body: fields })
  },
  async remove(service, [queue], withMessages) {
    const query = withMessages ? {} : { ifEmpty: true }
    await service.call(queueOperations.deleteQueue, { queue }, { query })
  }
}

const subscriptions: Kind = {
  section: 'topics',
  labelOf: ([topic, queue]) => `subscription of ${queue} to ${topic}`,
  defaults: { pattern: patternDefault },
  needs: [],
  isSecret: false,
  entriesOf: ({ topics = {} }) =>
    Object.entries(topics).flatMap(([topic, { subscriptions }]) =>
      Object.entries(subscriptions).map(([queue, fields]): Entry => ({
        id: [topic, queue],
        path: ['topics', topic, 'subscriptions', queue],
        fields
      }))
    ),
  async read(service, ids) {
    const names =
      ids === null
        ? (await service.list<{ topic: string }>(topicOperations.listTopics, 'topics')).map(
            ({ topic }) => topic
          )
        : [...new Set(ids.map(([topic]) => topic))]
    const topics = await mapSome(names, topic =>
      service.find<Topic>(topicOperations.getTopic, { topic }, 'topicNotFound')
    )
    return topics
      .filter(isThere)
      .flatMap(({ topic, subscriptions }) =>
        subscriptions.map(({ queue, pattern }): Found => ({ id: [topic, queue], fields: { pattern } }))
      )
  },
  async put(service, [topic, queue], fields) {
    await service.call(topicOperations.subscribe, { topic, queue: queue! }, { body: fields })
  },
  async remove(service, [topic, queue]) {
    await service.call(topicOperations.unsubscribe, { topic, queue: queue! })
  }
}

const schedules: Kind = {
  section: 'schedules',
  labelOf: ([schedule]) => `schedule ${schedule}`,
  defaults: scheduleDefaults,
  needs: ['queue', 'cron', 'body'],
  isSecret: false,
  entriesOf: entriesIn('schedules'),
  async read(service, ids) {
    const listed =
      ids ?? (await service.list<{ name: string }>(scheduleOperations.listSchedules, 'schedules'))
    const names = listed.map(item => (Array.isArray(item) ? item[0] : item.name))
    const found = await mapSome(names, schedule =>
      service.find<{ name: string }>(scheduleOperations.getSchedule, { schedule }, 'scheduleNotFound')
    )
    return found.filter(isThere).map(one => ({ id: [one.name], fields: pick(one, ScheduleChange) }))
  },
  async put(service, [schedule], fields) {
    await service.call(scheduleOperations.putSchedule, { schedule }, { body: fields })
  },
  async remove(service, [schedule]) {
    await service.call(scheduleOperations.deleteSchedule, { schedule })
  }
}

const push: Kind = {
  section: 'push',
  labelOf: ([queue]) => `push ${queue}`,
  defaults: pushDefaults,
  needs: ['url'],
  isSecret: true,
  entriesOf: entriesIn('push'),
  async read(service, ids) {
    const names = ids ?? (await queues.read(service, null)).map(({ id }) => id)
    const found = await mapSome(names, async ([queue]) => {
      const answer = service.find<{ queue: string }>(pushOperations.getPush, { queue }, 'pushNotFound')
      return await answer.catch(error => {
        if (ids !== null || codeOf(error) !== 'forbidden') throw error
        service.hidden.add('the push of queues that the key may not manage')
        return null
      })
    })
    return found.filter(isThere).map(one => ({ id: [one.queue], fields: pick(one, PushChange) }))
  },
  async put(service, [queue], fields, isNew, keep) {
    const { secret } = await service.call<{ secret?: string }>(
      pushOperations.putPush,
      { queue },
      { body: fields }
    )
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

const keys: Kind = {
  section: 'keys',
  labelOf: ([name]) => `key ${name}`,
  defaults: { requestsPerSecond: null, messagesPerSecond: null },
  needs: ['rights'],
  isSecret: true,
  // The first key of all must be an admin key.
  entriesOf: declared =>
    entriesIn('keys')(declared)
      .map(({ fields, ...entry }) => ({ ...entry, fields: withSortedRights(fields) }))
      .toSorted((a, b) => Number(isAdmin(b)) - Number(isAdmin(a))),
  async read(service, ids) {
    const named = Map.groupBy(await keysOf(service), ({ name }) => name)
    const names = ids === null ? [...named.keys()] : ids.map(([name]) => name).filter(name => named.has(name))
    return names.map(name => {
      const ofName = named.get(name)!
      return { id: [name], fields: grantOf(ofName), isOwn: ofName.some(({ id }) => id === service.keyId) }
    })
  },
  async put(service, [name], fields, isNew, keep) {
    if (!isNew) {
      for (const { id } of await keysOf(service, name)) {
        await service.call(apiKeyOperations.changeKey, { id }, { body: fields })
      }
      return
    }
    // Made here and kept first: so an answer that is lost loses no key, and the call can be repeated.
    const { secret } = makeKey()
    await keep('key', name, secret)
    await service.call(apiKeyOperations.createKey, {}, { body: { name, ...fields, secret } })
    // From the first key on, every call needs one, and the first one is an admin key.
    if (service.isOpen) service.useKey(secret)
  },
  async remove(service, [name]) {
    for (const { id } of await keysOf(service, name)) await service.call(apiKeyOperations.revokeKey, { id })
  }
}

/** Names of keys need not be unique: while one is being replaced, there are two. */
async function keysOf(service: Service, name?: string): Promise<KeyInfo[]> {
  const { keys } = await service.call<{ keys: KeyInfo[] }>(apiKeyOperations.listKeys)
  return name === undefined ? keys : keys.filter(key => key.name === name)
}

function grantOf(ofName: KeyInfo[]): Fields {
  const grants = ofName.map(key => withSortedRights(pick(key, KeyChange)))
  const [first] = grants
  return Object.fromEntries(
    Object.entries(first!).map(([name, value]) => [
      name,
      grants.every(grant => isDeepStrictEqual(grant[name], value)) ? value : undefined
    ])
  )
}

const isAdmin = ({ fields: { rights } }: Entry) => (rights as string[]).includes('admin')

/** Their order says nothing. */
const withSortedRights = (fields: Fields): Fields => ({
  ...fields,
  ...(Array.isArray(fields.rights) && { rights: fields.rights.toSorted() })
})

export const kinds: Kind[] = [queues, subscriptions, schedules, push, keys]
