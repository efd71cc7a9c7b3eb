/** The OpenAPI document, made from the routes' schemas, and Swagger UI that shows it. */
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance } from 'fastify'
import { swaggerUiFields } from '../shared/securityFields.ts'
import { nameShapes } from './components.ts'
import { contract } from './contract/index.ts'
import { bodyOptional } from './contract/operation.ts'
import { Problem } from './contract/problem.ts'
import { Settle } from './contract/settle.ts'
import { demoName } from './contract/shapes.ts'
import { afterResponse, beforeRequest, nameLogo, noExecuteWhereItDestroys } from './docsBrowser.ts'
import { hidden } from '../shared/server.ts'

const description =
  'Messages in, messages out, over HTTP on PostgreSQL.\n\n' +
  `The examples use a queue of their own, \`${demoName}\`. ` +
  'Open the calls from top to bottom and press **Execute**: ' +
  'make the queue, enqueue a message, lease it, ack it. ' +
  'This page carries the id and the receipt of one call into the next, ' +
  'in the place of `{id}` and `{receipt}`. ' +
  'It asks before a call changes any other queue or schedule.\n\n' +
  'Calls that remove or overwrite something, or that change API keys, have no **Execute** button here. ' +
  'Use the console or curl for them.'

/** Every operation under its heading, in the order in which a first visitor would press them. */
const tour: Record<string, { description: string; operations: string[] }> = {
  Queues: {
    description: 'Make them and look at them.',
    operations: ['putQueue', 'getQueue', 'getSeries', 'listConsumers', 'listGroups', 'listQueues']
  },
  Messages: {
    description: 'From the enqueue to the ack.',
    operations: ['enqueue', 'browse', 'lease', ...Object.keys(Settle), 'getMessage', 'explainMessage']
  },
  Repair: {
    description: 'What went wrong, or is no longer wanted.',
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
    description: 'One publish, a copy for each queue that wants it.',
    operations: ['subscribe', 'publish', 'getTopic', 'listTopics', 'unsubscribe', 'deleteTopic']
  },
  Push: {
    description: 'Deliveries to an HTTP endpoint, without a worker.',
    operations: ['putPush', 'getPush', 'testPush', 'rotatePush', 'deletePush']
  },
  Schedules: {
    description: 'Messages that come again and again.',
    operations: ['putSchedule', 'getSchedule', 'listSchedules', 'runSchedule', 'deleteSchedule']
  },
  Keys: { description: 'Who may do what.', operations: ['createKey', 'changeKey', 'listKeys', 'revokeKey'] },
  Health: { description: 'For those who run it.', operations: ['livez', 'readyz', 'metrics'] }
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

const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 190 40">
  <g fill="none" stroke="#7fd1ae" stroke-width="4" stroke-linecap="round" stroke-linejoin="round">
    <circle cx="20" cy="8" r="4"/>
    <path d="M20 12v22M12 18h16M6 24c0 7 6 10 14 10s14-3 14-10"/>
  </g>
  <text x="46" y="28" font-family="system-ui, sans-serif" font-size="24" font-weight="600" fill="#fff">
    Holdfast
  </text>
</svg>`

/** Operations whose body may be left out. */
const withoutBody = new Set(
  contract
    .filter(({ preValidation }) => preValidation === bodyOptional)
    .map(({ schema }) => schema.operationId)
)

/** The settings of the document: everything but the operations. */
const documentOptions: FastifyDynamicSwaggerOptions = {
  refResolver: {
    buildLocalReference: (json, _base, _fragment, i) => (typeof json.$id === 'string' ? json.$id : `def-${i}`)
  },
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Holdfast', version: '0.1.0', description, license: { name: 'MIT', identifier: 'MIT' } },
    components: {
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key. Needed once there is one, or where HOLDFAST_ADMIN_KEY_FILE is set.'
        }
      }
    },
    security: [{ key: [] }, {}],
    servers: [{ url: '/', description: 'This service' }],
    tags: Object.entries(tour).map(([name, { description }]) => ({ name, description }))
  },
  transformObject: document =>
    'openapiObject' in document ? inOrder(document.openapiObject) : document.swaggerObject
}

/** The document as text, as openapi/openapi.json holds it: made from the contract alone. */
export async function describeApi(): Promise<string> {
  const app = Fastify()
  app.setValidatorCompiler(() => () => true)
  app.addSchema(Problem)
  await app.register(swagger, documentOptions)
  // Only described here. The server has the handlers.
  for (const operation of contract) app.route({ ...operation, handler: () => {} })
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2)
  await app.close()
  return `${document}\n`
}

/** Serves the document and Swagger UI. Registered before the routes that it is to show. */
export async function documentRoutes(app: FastifyInstance): Promise<void> {
  await app.register(swagger, documentOptions)
  await app.register(swaggerUiRoutes)
  app.get('/openapi.json', { schema: hidden }, async () => app.swagger())
}

async function swaggerUiRoutes(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(swaggerUiFields)
    done()
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    logo: { type: 'image/svg+xml', content: logo, href: '/docs' },
    theme: { title: 'Holdfast: the API', js: [{ filename: 'logo.js', content: `(${nameLogo})()` }] },
    uiConfig: {
      tryItOutEnabled: true,
      displayRequestDuration: true,
      plugins: [noExecuteWhereItDestroys],
      requestInterceptor: beforeRequest,
      responseInterceptor: afterResponse,
      operationsSorter: (a: any, b: any) =>
        a.getIn(['operation', 'x-order']) - b.getIn(['operation', 'x-order'])
    } as object
  })
}

/** An operation of the document. */
interface Documented {
  operationId: string
  requestBody?: { required?: boolean }
  tags?: string[]
  'x-order'?: number
  'x-destroys'?: true
}

// One path holds operations of several headings, so the order cannot be that of the routes.
function inOrder(document: { paths?: object; components?: { schemas?: object } }): object {
  const places = Object.entries(tour).flatMap(([tag, { operations }]) =>
    operations.map(name => [name, tag] as const)
  )
  for (const operation of Object.values(document.paths ?? {}).flatMap(path =>
    Object.values(path as Record<string, Documented>)
  )) {
    const order = places.findIndex(([name]) => name === operation.operationId)
    if (order < 0) {
      throw new Error(
        `The operation ${operation.operationId} has no place in the tour of src/fronts/rest/docs.ts.`
      )
    }
    if (withoutBody.has(operation.operationId)) delete operation.requestBody!.required
    operation.tags = [places[order]![1]]
    operation['x-order'] = order
    if (destroying.has(places[order]![0])) operation['x-destroys'] = true
  }
  nameShapes(document)
  return document
}
