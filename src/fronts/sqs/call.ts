/** One call of an operation: who asks, with what, and what the operations share. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Action } from '../../core/apiKey.ts'
import type { Broker } from '../../core/broker.ts'
import type { Caller } from '../../core/caller.ts'
import { permit } from '../shared/guard.ts'
import type { FirstGroups } from './firstGroup.ts'
import { account, queueOfUrl } from './ids.ts'

export interface Call {
  broker: Broker
  firstGroups: FirstGroups
  request: FastifyRequest
  reply: FastifyReply
  caller: Caller
  /** As its structure says. */
  input: Record<string, any>
  /** Of the signature. */
  readonly region: string
  /** Where callers reach the service, without a slash at the end. */
  origin: string
  /** Whether the answer is XML, which cannot carry every character. */
  isXml: boolean
  /** The same in each of the SDK's attempts. null: it tells none. */
  invocationId: string | null
}

/** What an operation answers, as its structure says. */
export type Answer = Record<string, unknown>
export type Operation = (call: Call) => Promise<Answer>

export const urlOf = ({ origin }: Call, queue: string): string => `${origin}/${account}/${queue}`

/** Refuses as the routes of REST do: a queue to which the key has no right at all does not exist. */
export function permitOn({ request }: Call, action: Action, queue: string): void {
  permit(request, action, queue)
}

/** The queue that the call is about, if its key may do this there. */
export function queueOf(call: Call, action: Action): string {
  const queue = queueOfUrl(call.input.QueueUrl)
  permitOn(call, action, queue)
  return queue
}
