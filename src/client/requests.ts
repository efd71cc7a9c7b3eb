/** What requests are made of: addresses, and keys that make them safe to repeat. */

export function path(queue: string): string {
  return `/queues/${encodeURIComponent(queue)}`
}

export function schedulePath(name: string): string {
  return `/schedules/${encodeURIComponent(name)}`
}

// A key that is given as undefined counts as none.
export function keyed<T extends { idempotencyKey?: string | undefined }>(request: T): T {
  return { ...request, idempotencyKey: request.idempotencyKey ?? crypto.randomUUID() }
}
