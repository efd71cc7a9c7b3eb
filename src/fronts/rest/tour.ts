/** The order in which the OpenAPI document shows the operations, and what each of them is marked with. */
import { nameShapes } from './components.ts'
import { contract } from './contract/index.ts'
import { bodyOptional } from './contract/operation.ts'
import { Settle } from './contract/settle.ts'

/** Every operation under its heading, in the order in which a first visitor would press them. */
export const tour: Record<string, { description: string; operations: string[] }> = {
  Queues: {
    description: 'Make, change and look at queues.',
    operations: ['putQueue', 'getQueue', 'getSeries', 'listConsumers', 'listGroups', 'listQueues']
  },
  Messages: {
    description: 'Enqueue, lease and settle messages, and look at them.',
    operations: ['enqueue', 'browse', 'lease', ...Object.keys(Settle), 'getMessage', 'explainMessage']
  },
  Repair: {
    description: 'Retry, redrive, cancel and purge messages. Delete a queue.',
    operations: [
      'listFailures',
      'retry',
      'redrive',
      'listRedrives',
      'stopRedrive',
      'cancelMessage',
      'purge',
      'deleteQueue'
    ]
  },
  Topics: {
    description: 'Publish a message once, with a copy for each queue that subscribes.',
    operations: ['subscribe', 'publish', 'getTopic', 'listTopics', 'unsubscribe', 'deleteTopic']
  },
  Push: {
    description: 'Deliver the messages of a queue to an HTTP endpoint, without a worker.',
    operations: ['putPush', 'getPush', 'testPush', 'rotatePush', 'deletePush']
  },
  Schedules: {
    description: 'Enqueue a message at the times of a cron expression.',
    operations: ['putSchedule', 'getSchedule', 'listSchedules', 'runSchedule', 'deleteSchedule']
  },
  Keys: {
    description: 'Make, change and revoke API keys.',
    operations: ['createKey', 'changeKey', 'listKeys', 'revokeKey']
  },
  Health: { description: 'Probes and metrics.', operations: ['livez', 'readyz', 'metrics'] }
}

/** What one press must not do: these get no Execute button. */
const destroying = new Set([
  'cancelMessage',
  'purge',
  'deleteQueue',
  'stopRedrive',
  'putSchedule',
  'deleteSchedule',
  'unsubscribe',
  'deleteTopic',
  'putPush',
  'rotatePush',
  'deletePush',
  'createKey',
  'changeKey',
  'revokeKey'
])

/** Operations whose body may be left out. */
const withoutBody = new Set(
  contract
    .filter(({ preValidation }) => preValidation === bodyOptional)
    .map(({ schema }) => schema.operationId)
)

/** An operation of the document. */
interface Documented {
  operationId: string
  requestBody?: { required?: boolean }
  tags?: string[]
  'x-order'?: number
  'x-destroys'?: true
}

/**
 * Puts each operation of the document under its heading and in its place. One path holds operations of
 * several headings, so the order cannot be that of the routes. Throws where an operation has no place.
 */
export function inOrder(document: { paths?: object; components?: { schemas?: object } }): object {
  const places = Object.entries(tour).flatMap(([tag, { operations }]) =>
    operations.map(name => ({ name, tag }))
  )
  const paths: Record<string, Documented>[] = Object.values(document.paths ?? {})
  for (const operation of paths.flatMap(path => Object.values(path))) {
    const name = operation.operationId
    const order = places.findIndex(place => place.name === name)
    if (order < 0) throw new Error(`The operation ${name} has no place in src/fronts/rest/tour.ts.`)
    if (withoutBody.has(name)) delete operation.requestBody!.required
    operation.tags = [places[order]!.tag]
    operation['x-order'] = order
    if (destroying.has(name)) operation['x-destroys'] = true
  }
  nameShapes(document)
  return document
}
