/** The OpenAPI document, made from the routes' schemas, and Swagger UI that shows it. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

const description = `Messages in, messages out, over HTTP on PostgreSQL.

Press **Try it out** from top to bottom: make a queue, enqueue a message, lease it, ack it. The page fills in the receipt and the id that the calls before gave you.`

export async function documentRoutes (app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Holdfast', version: '0.1.0', description, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [{ url: '/', description: 'This service' }],
      tags: [
        { name: 'Queues', description: 'Make them, look at them, mend them.' },
        { name: 'Messages', description: 'Enqueue, lease, look.' },
        { name: 'Settle', description: 'What became of a lease.' },
        { name: 'Health', description: 'For those who run it.' }
      ]
    }
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { tryItOutEnabled: true, displayRequestDuration: true, requestInterceptor: fillIn, responseInterceptor: remember } as object
  })
  app.get('/openapi.json', { schema: { hide: true } as object }, async () => app.swagger())
}

// These two run in the browser, sent as text: they carry the id and the receipt of one call into the next.

function fillIn (request: any) {
  const memory = (globalThis as any).holdfast ?? {}
  for (const name of ['id', 'receipt']) {
    if (!memory[name]) continue
    request.url = request.url.replaceAll('%7B' + name + '%7D', memory[name])
    if (typeof request.body === 'string') request.body = request.body.replaceAll('{' + name + '}', memory[name])
  }
  return request
}

function remember (response: any) {
  const answer = response.body ?? {}
  const message = Array.isArray(answer.messages) ? answer.messages[0] : answer
  const memory = ((globalThis as any).holdfast ??= {})
  for (const name of ['id', 'receipt']) if (message && message[name]) memory[name] = message[name]
  return response
}
