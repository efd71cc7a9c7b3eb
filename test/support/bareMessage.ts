import type { EnqueueRow } from '../../src/core/ports.ts'

/** A message as a front hands it to the store, with nothing but a body. */
export const bareMessage: Omit<EnqueueRow, 'queueId'> = {
  body: '1',
  contentType: null,
  headers: undefined,
  priority: 4,
  delaySeconds: undefined,
  visibleAt: undefined,
  ttlSeconds: undefined,
  maxAttempts: undefined,
  idempotencyKey: undefined,
  defaults: null
}
