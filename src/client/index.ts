/** holdfast/client: a client of the REST API, and a worker. It needs only Node.js 20 or later. */
export type { CallOptions, ClientOptions } from './calls.ts'
export { Client } from './client.ts'
export { HoldfastError, type ErrorDetails } from './error.ts'
export { Dead, Done, RetryAfter, type Handler, type Job, type Settled } from './handler.ts'
export type { Copy } from './verbs/topics.ts'
export { Worker, type WorkerOptions } from './worker.ts'
export type * from './types.ts'
