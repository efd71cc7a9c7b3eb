/** Refuses what is no HTTP at all. */
import { dataFieldLines } from '../shared/securityFields.ts'
import type { Connection } from '../shared/shutdown.ts'
import { lingerMs, problems } from './problems.ts'

/**
 * Answers on the socket itself, because there is no request. Whole requests that came before it on
 * the connection are answered first, so that "nothing was changed" is not taken for their answer.
 */
export function refuseUnreadable(cause: string, socket: Connection): void {
  if (!socket.writable) return
  const before = socket._httpMessage
  if (before?.req.complete) {
    before.once('close', () => refuseUnreadable(cause, socket))
    return
  }
  const code =
    cause === 'HPE_HEADER_OVERFLOW'
      ? 'headersTooLarge'
      : cause === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'requestTimeout'
        : 'malformedRequest'
  const { status, title } = problems[code]
  const body = JSON.stringify({
    type: `urn:holdfast:error:${code}`,
    title,
    status,
    detail: `${title}; the connection is closed and nothing was changed.`,
    code,
    requestId: 'none'
  })
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\n` +
      'content-type: application/problem+json\r\n' +
      `content-length: ${Buffer.byteLength(body)}\r\n` +
      `connection: close\r\n${dataFieldLines}\r\n${body}`,
    () => setTimeout(() => socket.destroy(), lingerMs).unref()
  )
}
