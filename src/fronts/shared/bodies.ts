/** Message bodies between a front and the store: bytes in, and the same bytes out as JSON, text or base64. */
import { isUtf8 } from 'node:buffer'
import type { Body, Marks } from '../../core/message.ts'

const textTypes =
  /^(text\/.*|application\/(xml|x-www-form-urlencoded)|multipart\/form-data|[^/]+\/.+\+(json|xml))$/

/** Whether a body of this content type is text, provided that its bytes are UTF-8. */
function isText(contentType: string): boolean {
  const [type, ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters
    .map(parameter => parameter.trim())
    .find(parameter => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '')
  return (
    textTypes.test(type!.trim()) && (charset === undefined || ['utf-8', 'utf8', 'us-ascii'].includes(charset))
  )
}

/** Text if the store can keep it as text, else bytes. PostgreSQL's text cannot hold U+0000. */
export function storedForm(bytes: Buffer, contentType: string): string | Buffer {
  return isText(contentType) && isUtf8(bytes) && !bytes.includes(0) ? bytes.toString() : bytes
}

/**
 * The members `body` or `bodyBase64`, and `contentType`, as JSON text. A JSON body stands there
 * exactly as it came.
 */
export function bodyMembers({ body, bodyBytes, contentType }: Body): string {
  if (contentType === null) return `"body":${body},"contentType":"application/json"`
  const text = body ?? (isText(contentType) && isUtf8(bodyBytes!) ? bodyBytes!.toString() : null)
  const member =
    text === null ? `"bodyBase64":"${bodyBytes!.toString('base64')}"` : `"body":${JSON.stringify(text)}`
  return `${member},"contentType":${JSON.stringify(contentType)}`
}

/** The members of what few messages have, such as their group, as JSON text after other members. */
export function markMembers(marks: Marks | null): string {
  return marks === null ? '' : `,${JSON.stringify(marks).slice(1, -1)}`
}

/** The content type of a message as a header field. One set in SQL may hold what a field cannot. */
export function contentTypeOf({ contentType }: Body): string {
  if (contentType === null) return 'application/json'
  return /^[\x20-\x7e]+$/.test(contentType) ? contentType : 'application/octet-stream'
}

/** The bytes of a body, as it was enqueued. */
export function bytesOf({ body, bodyBytes }: Body): Buffer {
  return body === null ? bodyBytes! : Buffer.from(body)
}
