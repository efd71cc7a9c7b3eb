/** One call of an operation: who asks, and what the operations share. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Action } from '../../core/apiKey.ts'
import type { Broker } from '../../core/broker.ts'
import type { Caller } from '../../core/caller.ts'
import { permit } from '../shared/guard.ts'
import type { FirstGroups } from './firstGroup.ts'
import { account, queueOfUrl } from './ids.ts'
import type { AnswerOf, InputOf, OperationName } from './structures.ts'

export interface Call {
  broker: Broker
  firstGroups: FirstGroups
  request: FastifyRequest
  reply: FastifyReply
  caller: Caller
  /** Of the signature. Few operations ask for it. */
  region: () => string
  /** Where callers reach the service, without a slash at the end. */
  origin: string
  /** Whether the answer is XML, which cannot carry every character. */
  isXml: boolean
  /** The same in each of the SDK's attempts. null: it tells none. */
  invocationId: string | null
}

/** A handler. What it throws is told to the caller: an SqsError, or a QueueError under its name in SQS. */
export type Operation<Name extends OperationName> = (
  call: Call,
  input: InputOf<Name>
) => Promise<AnswerOf<Name>>

/** The URL of a queue, at the host that the call came to. */
export const urlOf = ({ origin }: Call, queue: string): string => `${origin}/${account}/${queue}`

/** Refuses as the routes of REST do: a queue to which the key has no right at all does not exist. */
export function permitOn({ request }: Call, action: Action, queue: string): void {
  permit(request, action, queue)
}

/** The queue of a URL, if the call's key may do this there. */
export function queueOf(call: Call, action: Action, queueUrl: string): string {
  const queue = queueOfUrl(queueUrl)
  permitOn(call, action, queue)
  return queue
}
