/** A bad request, as data, with the answer it must get. */
import type { Code } from '../../../../../src/core/errors.ts'

export interface Case {
  name: string
  /** POST, unless said otherwise. */
  method?: string
  /** An enqueue into the queue `q`, unless said otherwise. */
  path?: string
  body?: string | Uint8Array
  headers?: Record<string, string>
  /** Sent instead of all these. */
  bytes?: string | Buffer
  code: Code
  pointer?: string
}

export const messages = '/queues/q/messages'

const pointing = (pointer: string | undefined) => (pointer === undefined ? {} : { pointer })

export const enqueue = (name: string, body: string | Uint8Array, code: Code, pointer?: string): Case => ({
  name,
  body,
  code,
  ...pointing(pointer)
})

/** A verb of the queue `q`. */
export const verb = (verb: string, body: string, code: Code, pointer?: string): Case => ({
  name: `${verb} ${body.slice(0, 60)}`,
  path: `/queues/q/${verb}`,
  body,
  code,
  ...pointing(pointer)
})

export const get = (path: string, code: Code, pointer?: string): Case => ({
  name: path.slice(0, 60),
  method: 'GET',
  path,
  code,
  ...pointing(pointer)
})

export const put = (path: string, body: string, code: Code, pointer?: string): Case => ({
  name: `${path} ${body.slice(0, 60)}`,
  method: 'PUT',
  path,
  body,
  code,
  ...pointing(pointer)
})
