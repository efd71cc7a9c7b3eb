/** Routes of API keys, for admins: make, list, revoke. */
import type { ApiKeyGrant, ApiKeyInfo } from '../../../core/apiKey.ts'
import { QueueError } from '../../../core/errors.ts'
import { problemResponses } from '../common.ts'
import { KeyList, KeyMade, KeyParams, KeyRequest } from '../contract/apiKeys.ts'
import type { Server } from '../server.ts'

/** What these routes need of the store. */
export interface ApiKeys {
  create: (grant: ApiKeyGrant) => Promise<ApiKeyInfo & { secret: string }>
  list: () => Promise<ApiKeyInfo[]>
  revoke: (id: string) => Promise<boolean>
}

export function keyRoutes(app: Server, keys: ApiKeys): void {
  app.post(
    '/keys',
    {
      schema: {
        operationId: 'createKey',
        summary: 'Make an API key',
        description:
          'The answer holds the key itself, this once: only its digest is stored. It is good on ' +
          'every replica within two seconds. From the first key on, every call needs one.',
        body: KeyRequest,
        response: { 201: KeyMade, ...problemResponses(400, 415, 429, 503) }
      }
    },
    async ({ body: { name, rights, requestsPerSecond = null, messagesPerSecond = null } }, reply) => {
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send(await keys.create({ name, rights, requestsPerSecond, messagesPerSecond }))
    }
  )

  app.get(
    '/keys',
    {
      schema: {
        operationId: 'listKeys',
        summary: 'List API keys',
        description: 'All of them, the oldest first; never the secrets.',
        response: { 200: KeyList, ...problemResponses(503) }
      }
    },
    async () => ({ keys: await keys.list() })
  )

  app.delete(
    '/keys/:id',
    {
      schema: {
        operationId: 'revokeKey',
        summary: 'Revoke an API key',
        description: 'Every replica refuses it within five seconds.',
        params: KeyParams,
        response: { 204: { type: 'null', description: 'It is revoked.' }, ...problemResponses(404, 503) }
      }
    },
    async ({ params: { id } }, reply) => {
      if (!(await keys.revoke(id))) {
        throw new QueueError('keyNotFound', `There is no key ${id}. GET /keys lists them.`)
      }
      return reply.code(204).send(null)
    }
  )
}
