/** Refuses what is no HTTP at all, and bodies that do not come. */
import { QueueError, type Code } from '../../core/errors.ts'
import type { WriteRefusal } from '../shared/refusals.ts'
import { dataFieldLines } from '../shared/securityFields.ts'
import type { Connection } from '../shared/shutdown.ts'
import { problemOf, problems } from './problems.ts'
import { lingerMs } from './sendProblem.ts'

/** What the errors of Node are called here. All others: malformedRequest. */
const codeOf: Partial<Record<string, Code>> = {
  HPE_HEADER_OVERFLOW: 'headersTooLarge',
  ERR_HTTP_REQUEST_TIMEOUT: 'requestTimeout'
}

/**
 * Answers on the socket itself, because no handler can. Whole requests that came before it on the
 * connection are answered first, so that "nothing was changed" is not taken for their answer.
 */
export function refuseUnreadable(cause: string, socket: Connection, writeRefusal: WriteRefusal): void {
  if (!socket.writable) return
  const before = socket._httpMessage
  if (before?.req.complete) {
    before.once('close', () => refuseUnreadable(cause, socket, writeRefusal))
    return
  }
  const code = codeOf[cause] ?? 'malformedRequest'
  const { title } = problems[code]
  const error = new QueueError(code, `${title}; the connection is closed and nothing was changed.`)
  // Without a head that could be read, nobody knows which protocol the caller speaks.
  const { status, type, fields, body } = before
    ? writeRefusal(error, before.req, 'none')
    : problemOf(error, 'none')
  const lines = Object.entries({ 'content-type': type, ...fields }).map(
    ([name, value]) => `${name}: ${value}\r\n`
  )
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\n` +
      lines.join('') +
      `content-length: ${Buffer.byteLength(body)}\r\n` +
      `connection: close\r\n${dataFieldLines}\r\n${body}`,
    () => setTimeout(() => socket.destroy(), lingerMs).unref()
  )
}
