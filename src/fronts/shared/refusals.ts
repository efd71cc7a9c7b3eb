/** Refusals in the protocol of their caller, also of requests that reach no route. */
import type { IncomingMessage } from 'node:http'
import type { QueueError } from '../../core/errors.ts'

/** A refusal as it is sent. */
export interface Refusal {
  status: number
  /** Its content type. */
  type: string
  fields: Record<string, string>
  body: string
}

export type WriteRefusal = (error: QueueError, request: IncomingMessage, requestId: string) => Refusal
/** null: the request is none of its callers'. */
export type WriteOwnRefusal = (...about: Parameters<WriteRefusal>) => Refusal | null
