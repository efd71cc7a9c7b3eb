/** The OpenAPI document, made from the routes' schemas, and Swagger UI that shows it. */
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { swaggerUiFields } from '../shared/securityFields.ts'
import { hidden } from '../shared/server.ts'
import { contract } from './contract/index.ts'
import { Problem } from './contract/problem.ts'
import { demoName } from './contract/shapes.ts'
import {
  afterResponse,
  beforeRequest,
  nameLogo,
  noExecuteWhereItDestroys,
  quickResolver
} from './docsBrowser.ts'
import { inOrder, tour } from './tour.ts'

const description =
  'Holdfast is an HTTP message queue that stores its messages in PostgreSQL.\n\n' +
  `The examples use a queue of their own, \`${demoName}\`. ` +
  'Open the calls from top to bottom and press **Execute**: ' +
  'make the queue, enqueue a message, lease it, ack it. ' +
  'This page carries the id and the receipt of one call into the next, ' +
  'in the place of `{id}` and `{receipt}`. ' +
  'It asks before a call changes any other queue or schedule.\n\n' +
  'Calls that remove or overwrite something, or that change API keys, have no **Execute** button here. ' +
  'Use the console or curl for them.'

const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 190 40">
  <g fill="none" stroke="#7fd1ae" stroke-width="4" stroke-linecap="round" stroke-linejoin="round">
    <circle cx="20" cy="8" r="4"/>
    <path d="M20 12v22M12 18h16M6 24c0 7 6 10 14 10s14-3 14-10"/>
  </g>
  <text x="46" y="28" font-family="system-ui, sans-serif" font-size="24" font-weight="600" fill="#fff">
    Holdfast
  </text>
</svg>`

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
  // Made once, as bytes. It takes ten times as long to write as most answers, and anyone may ask for it.
  let bytes: Buffer | undefined
  const send = (reply: FastifyReply) => {
    bytes ??= Buffer.from(JSON.stringify(app.swagger()))
    return reply.type('application/json; charset=utf-8').send(bytes)
  }
  await app.register(swaggerUiRoutes, { send })
  app.get('/openapi.json', { schema: hidden }, async (_request, reply) => send(reply))
}

interface SwaggerUiOptions {
  /** Sends the document. */
  send: (reply: FastifyReply) => FastifyReply
}

async function swaggerUiRoutes(app: FastifyInstance, { send }: SwaggerUiOptions): Promise<void> {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(swaggerUiFields)
    done()
  })
  app.addHook('preHandler', async ({ routeOptions }, reply) =>
    routeOptions.url === '/docs/json' ? send(reply) : undefined
  )
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    logo: { type: 'image/svg+xml', content: logo, href: '/docs' },
    theme: { title: 'Holdfast: the API', js: [{ filename: 'logo.js', content: `(${nameLogo})()` }] },
    uiConfig: {
      tryItOutEnabled: true,
      displayRequestDuration: true,
      plugins: [noExecuteWhereItDestroys, quickResolver],
      requestInterceptor: beforeRequest,
      responseInterceptor: afterResponse,
      operationsSorter: (a: any, b: any) =>
        a.getIn(['operation', 'x-order']) - b.getIn(['operation', 'x-order'])
    } as object
  })
}
