/** holdfast/client: a client of the REST contract, and a worker. Needs only Node.js 20 or later. */
export { Client, type CallOptions, type ClientOptions, type Copy } from './client.ts'
export { HoldfastError, type ErrorDetails } from './error.ts'
export { Dead, Done, RetryAfter, type Handler, type Job, type Settled } from './handler.ts'
export { Worker, type WorkerOptions } from './worker.ts'
export type * from './types.ts'
