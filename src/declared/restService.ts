/** Calls to the service by the operations of its contract. */
import { Calls, type ClientOptions } from '../client/calls.ts'
import { HoldfastError } from '../client/error.ts'
import { keySecretPattern } from '../core/apiKey.ts'
import { pageRowsMax } from '../core/limits.ts'
import { queueOperations } from '../fronts/rest/contract/queues.ts'
import type { Operation } from '../fronts/rest/contract/operation.ts'

/** Calls by method and path, where the client has its verbs. */
class OpenCalls extends Calls {
  send<Answer>(method: string, path: string, request: { body?: unknown; query?: object }): Promise<Answer> {
    return this.call(method, path, request)
  }
}

/** Requests under way at one time. */
const callsMax = 8

/** A service that runs, called with one key. */
export class Service {
  readonly #options: ClientOptions
  #calls: OpenCalls
  /** What the key may not see, in words. */
  readonly hidden = new Set<string>()

  private constructor(options: ClientOptions) {
    this.#options = options
    this.#calls = new OpenCalls(options)
  }

  /** Throws at once where the service does not answer or refuses the key. Later calls are tried for 30 s. */
  static async open(options: ClientOptions): Promise<Service> {
    const query = { limit: 1 }
    await new OpenCalls({ ...options, retrySeconds: 0 })
      .send(queueOperations.listQueues.method, queueOperations.listQueues.url, { query })
      .catch(error => {
        if (codeOf(error) !== 'noAnswer') throw error
        const reason = (error as Error).message.split(': ').at(-1)
        throw new Error(
          `The service at ${options.url} does not answer (${reason}). Check that it runs there, or name ` +
            'another one with --url or HOLDFAST_URL.',
          { cause: error }
        )
      })
    return new Service(options)
  }

  /** Whether the calls have no key. */
  get isOpen(): boolean {
    return this.#options.key === undefined
  }

  /** The id of the key that the calls have. undefined: none that the service stores. */
  get keyId(): string | undefined {
    return new RegExp(keySecretPattern).exec(this.#options.key ?? '')?.[1]
  }

  /** From now on the calls have this key. */
  useKey(key: string): void {
    this.#options.key = key
    this.#calls = new OpenCalls(this.#options)
  }

  /** Calls an operation. Throws HoldfastError where it is refused, or gets no answer. */
  call<Answer>(
    { method, url }: Operation,
    params: Record<string, string> = {},
    request: { body?: unknown; query?: object } = {}
  ): Promise<Answer> {
    const path = url.replace(/:(\w+)/g, (_, name) => encodeURIComponent(params[name]!))
    return this.#calls.send<Answer>(method, path, request)
  }

  /** The same for what may not be there: null where the refusal is this one. */
  async find<Answer>(
    operation: Operation,
    params: Record<string, string>,
    notFound: string
  ): Promise<Answer | null> {
    return await this.call<Answer>(operation, params).catch(error => {
      if (codeOf(error) === notFound) return null
      throw error
    })
  }

  /** The entries of all pages of a list. */
  async list<Entry>(operation: Operation, member: string): Promise<Entry[]> {
    const entries: Entry[] = []
    let cursor: string | null = null
    do {
      const query: object = { limit: pageRowsMax, ...(cursor !== null && { cursor }) }
      const page: Record<string, unknown> = await this.call(operation, {}, { query })
      entries.push(...(page[member] as Entry[]))
      cursor = page.cursor as string | null
    } while (cursor !== null)
    return entries
  }
}

/** The code of a refusal, or of a missing answer. null: something else was thrown. */
export const codeOf = (error: unknown): string | null => (error instanceof HoldfastError ? error.code : null)

/** The answers for all items, in their order. A few are worked on at one time, and none after a failure. */
export async function mapSome<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      answers[index] = await work(items[index]!).catch(error => {
        next = items.length
        throw error
      })
    }
  }
  await Promise.all(Array.from({ length: callsMax }, worker))
  return answers
}
