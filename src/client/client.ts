/**
 * The REST contract as typed methods. Each area stands in a file of `verbs`, as a class that adds its
 * methods to those of the area before it.
 */
import { Keys } from './verbs/keys.ts'

/**
 * Calls a service. A call without an answer is repeated, in a way that is safe to repeat. A refusal,
 * or no answer in time, is thrown as a HoldfastError.
 */
export class Client extends Keys {}
