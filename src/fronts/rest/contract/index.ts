/** All operations of the contract, in the order in which the OpenAPI document lists them. */
import { keysOf } from '../../../core/table.ts'
import { apiKeyOperations } from './apiKeys.ts'
import { Bulk, bulkOperation } from './bulk.ts'
import { consumerOperations } from './consumers.ts'
import { groupOperations } from './groups.ts'
import { enqueueOperations } from './enqueue.ts'
import { failureOperations } from './failures.ts'
import { healthOperations } from './health.ts'
import { leaseOperations } from './lease.ts'
import { messageOperations } from './messages.ts'
import type { Operation } from './operation.ts'
import { pushOperations } from './push.ts'
import { queueOperations } from './queues.ts'
import { redriveOperations } from './redrives.ts'
import { scheduleOperations } from './schedules.ts'
import { Settle, settleOperation } from './settle.ts'
import { topicOperations } from './topics.ts'

export const contract: Operation[] = [
  ...Object.values<Operation>(queueOperations),
  ...keysOf(Bulk).map(bulkOperation),
  ...Object.values<Operation>(redriveOperations),
  ...Object.values<Operation>(failureOperations),
  ...Object.values<Operation>(consumerOperations),
  ...Object.values<Operation>(groupOperations),
  ...Object.values<Operation>(enqueueOperations),
  ...Object.values<Operation>(messageOperations),
  ...Object.values<Operation>(leaseOperations),
  ...keysOf(Settle).map(settleOperation),
  ...Object.values<Operation>(pushOperations),
  ...Object.values<Operation>(topicOperations),
  ...Object.values<Operation>(scheduleOperations),
  ...Object.values<Operation>(apiKeyOperations),
  ...Object.values<Operation>(healthOperations)
]
