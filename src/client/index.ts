/** holdfast/client: a client of the REST contract, and a worker. Needs nothing but Node.js 20 or later. */
export { Client, HoldfastError, type CallOptions, type ClientOptions, type ErrorDetails } from './client.ts'
export {
  Dead,
  RetryAfter,
  Worker,
  type Handler,
  type Job,
  type Settled,
  type WorkerOptions
} from './worker.ts'
export type * from './types.ts'
