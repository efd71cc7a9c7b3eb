/** All operations of the contract, in the order in which the OpenAPI document lists them. */
import { apiKeyOperations } from './apiKeys.ts'
import { healthOperations } from './health.ts'
import { leaseOperations, Settle, settleOperation } from './lease.ts'
import { messageOperations } from './messages.ts'
import type { Operation } from './operation.ts'
import { queueOperations } from './queues.ts'
import { scheduleOperations } from './schedules.ts'

export const contract: Operation[] = [
  queueOperations,
  messageOperations,
  leaseOperations,
  ...Object.keys(Settle).map(verb => ({ [verb]: settleOperation(verb as keyof typeof Settle) })),
  scheduleOperations,
  apiKeyOperations,
  healthOperations
].flatMap(table => Object.values<Operation>(table))
