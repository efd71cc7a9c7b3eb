/** Reads request bodies: JSON by the envelope's rules, and nothing of any other content type. */
import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseEnvelope } from '../../core/engine/envelope.ts'
import { QueueError } from '../../core/errors.ts'
import { readInTurn } from '../shared/readInTurn.ts'
import { onlyJson } from './thrown.ts'

type Done = (error: Error | null, body?: unknown) => void

/** Sets the parsers of every route. The enqueue replaces the one for other content types. */
export function setParsers(app: FastifyInstance): void {
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readBody)
  app.addContentTypeParser('*', { parseAs: 'buffer' }, takeNothing)
}

function readBody(request: FastifyRequest, bytes: string | Buffer, done: Done): void {
  readInTurn(request.caller, bytes.length, () => readJson(request, bytes, done))
}

function readJson(request: FastifyRequest, bytes: string | Buffer, done: Done): void {
  try {
    if (bytes.length === 0) return done(null, undefined)
    if (/charset\s*=\s*"?(?!utf-?8)/i.test(request.headers['content-type']!)) {
      throw new QueueError('unsupportedMediaType', 'JSON is taken in UTF-8 only.')
    }
    if (!isUtf8(bytes as Buffer)) {
      throw new QueueError('malformedJson', 'The body is not valid UTF-8. Send JSON in UTF-8.', {
        faults: [{ pointer: '', message: 'is not valid UTF-8' }]
      })
    }
    done(null, parseEnvelope(bytes.toString()))
  } catch (error) {
    done(error as Error)
  }
}

// curl -d '' names a content type for nothing at all.
function takeNothing(_request: FastifyRequest, bytes: string | Buffer, done: Done): void {
  done(bytes.length === 0 ? null : onlyJson())
}
