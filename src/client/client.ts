/**
 * The REST contract as typed methods. Each area stands in a file of `verbs`, as a class that adds its
 * methods to those of the area before it.
 */
import { Keys } from './verbs/keys.ts'

/**
 * Calls a Holdfast service. A call that gets no answer is repeated for `retrySeconds`, in a way that
 * is safe. The methods throw a HoldfastError when the service refuses, or does not answer in time.
 */
export class Client extends Keys {}
