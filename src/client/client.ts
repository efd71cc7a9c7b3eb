/**
 * The REST contract as typed methods. A call without an answer is repeated, in a way that is safe
 * to repeat.
 */
import { Calls, keyed, rawRequest, type CallOptions, type ClientOptions, type Request } from './calls.ts'
import { waitSecondsMax } from './limits.ts'
import type {
  Ack,
  BrowseQuery,
  Enqueued,
  Explanation,
  Extension,
  Failure,
  KeyInfo,
  KeyMade,
  KeyRequest,
  LeasedMessage,
  LeaseRequest,
  MessageDetail,
  MessagePage,
  NewMessage,
  Outcome,
  PageQuery,
  Publication,
  PublishAnswer,
  PurgeAnswer,
  PurgeRequest,
  QueueList,
  QueuesQuery,
  QueueReport,
  QueueSettings,
  RawOptions,
  RawPublication,
  RedriveAnswer,
  RedriveList,
  RedriveRequest,
  RetryAnswer,
  RetryRequest,
  Schedule,
  ScheduleChange,
  ScheduleList,
  Series,
  Subscription,
  SubscriptionChange,
  Topic,
  TopicList,
  TopicsQuery
} from './types.ts'

export type { CallOptions, ClientOptions }

type AtOnce = Omit<RedriveRequest, 'ratePerSecond'>
type AtRate = Omit<RedriveRequest, 'dryRun'> & { ratePerSecond: number }

/** A copy of a published message. */
export type Copy = PublishAnswer['messages'][number]

export class Client {
  readonly #calls: Calls

  constructor(options: ClientOptions) {
    this.#calls = new Calls(options)
  }

  /**
   * Stores a message. The answer comes after the commit. Without an `idempotencyKey` the client
   * makes one, so that a try after a lost answer stores nothing twice.
   */
  enqueue(queue: string, message: NewMessage, options?: CallOptions): Promise<Enqueued> {
    return this.#call('POST', `${path(queue)}/messages`, { body: keyed(message) }, options)
  }

  /** Stores 1 to 1000 messages, all or none. */
  async enqueueMany(queue: string, messages: NewMessage[], options?: CallOptions): Promise<Enqueued[]> {
    return (
      await this.#call<{ messages: Enqueued[] }>(
        'POST',
        `${path(queue)}/messages`,
        { body: { messages: messages.map(keyed) } },
        options
      )
    ).messages
  }

  /** Stores bytes. A lease gives them back unchanged, with their content type. */
  enqueueRaw(
    queue: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawOptions = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    return this.#call('POST', `${path(queue)}/messages`, rawRequest(body, contentType, message), options)
  }

  /**
   * Takes messages for a time. Without an `idempotencyKey` the client makes one, so that a try
   * after a lost answer brings the same messages.
   */
  lease(
    queue: string,
    request: LeaseRequest = {},
    options?: CallOptions
  ): Promise<{ messages: LeasedMessage[]; outcomes?: Outcome[] }> {
    return this.#call(
      'POST',
      `${path(queue)}/lease`,
      // Without waitSeconds the queue says how long.
      { body: keyed(request), waitSeconds: request.waitSeconds ?? waitSecondsMax },
      options
    )
  }

  /**
   * The work is done. With one receipt it throws `leaseLost` when somebody else has the message by
   * now. With a list it answers an outcome for each receipt, in the order given. An ack may say what
   * came of the work, in `result`, and in `then` what to enqueue in the same commit. If a `then` is
   * refused, nothing of the call is acked.
   */
  ack(queue: string, ack: string | Ack, options?: CallOptions): Promise<Outcome>
  ack(queue: string, acks: (string | Ack)[], options?: CallOptions): Promise<Outcome[]>
  ack(
    queue: string,
    acks: string | Ack | (string | Ack)[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(acks) || acks.every(ack => typeof ack === 'string')) {
      return this.#settle(queue, 'ack', acks, options)
    }
    const all = acks.map(ack => (typeof ack === 'string' ? { receipt: ack } : ack))
    return this.#settleMany(queue, 'ack', { acks: all }, options)
  }

  /** The work failed. The message is tried again later, or is dead. */
  fail(queue: string, failure: Failure, options?: CallOptions): Promise<Outcome>
  fail(queue: string, failures: Failure[], options?: CallOptions): Promise<Outcome[]>
  fail(queue: string, failures: Failure | Failure[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'fail', failures, options)
  }

  /**
   * Lets the lease end `leaseSeconds` from now. With one extension it throws `leaseLost` or `gone`
   * when the lease cannot be extended.
   */
  extend(queue: string, extension: Extension, options?: CallOptions): Promise<Outcome>
  extend(queue: string, extensions: Extension[], options?: CallOptions): Promise<Outcome[]>
  extend(
    queue: string,
    extensions: Extension | Extension[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'extend', extensions, options)
  }

  /** Gives leased messages back. The attempt does not count. */
  release(queue: string, receipt: string, options?: CallOptions): Promise<Outcome>
  release(queue: string, receipts: string[], options?: CallOptions): Promise<Outcome[]>
  release(queue: string, receipts: string | string[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'release', receipts, options)
  }

  /** Lists messages by id, without leasing them. */
  browse(queue: string, query: BrowseQuery = {}, options?: CallOptions): Promise<MessagePage> {
    return this.#call('GET', `${path(queue)}/messages`, { query }, options)
  }

  /**
   * One message with its lease and its history. With `waitSeconds` the answer comes when the
   * message is acked, dead or gone, or when the time is up.
   */
  message(
    queue: string,
    id: string,
    query: { waitSeconds?: number | undefined } = {},
    options?: CallOptions
  ): Promise<MessageDetail> {
    return this.#call(
      'GET',
      `${path(queue)}/messages/${encodeURIComponent(id)}`,
      { query, waitSeconds: query.waitSeconds },
      options
    )
  }

  /** Why a message is where it is. */
  explain(queue: string, id: string, options?: CallOptions): Promise<Explanation> {
    return this.#call('GET', `${path(queue)}/messages/${encodeURIComponent(id)}/explain`, {}, options)
  }

  /** Removes a message that is not leased. */
  async cancel(queue: string, id: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `${path(queue)}/messages/${encodeURIComponent(id)}`, {}, options)
  }

  /**
   * Publishes a message to a topic: every queue whose subscription matches gets a copy. Answers the
   * copies; an empty list says that nobody got the message. Safe to repeat, as `enqueue` is.
   */
  async publish(topic: string, message: Publication, options?: CallOptions): Promise<Copy[]> {
    return await this.#publish(topic, { body: keyed(message) }, options)
  }

  /** Publishes 1 to 1000 messages. All their copies are stored, or none. */
  async publishMany(topic: string, messages: Publication[], options?: CallOptions): Promise<Copy[]> {
    return await this.#publish(topic, { body: { messages: messages.map(keyed) } }, options)
  }

  /** Publishes bytes, as `enqueueRaw` stores them. */
  async publishRaw(
    topic: string,
    body: Uint8Array | string,
    contentType: string,
    message: RawPublication = {},
    options?: CallOptions
  ): Promise<Copy[]> {
    return await this.#publish(topic, rawRequest(body, contentType, message), options)
  }

  async #publish(topic: string, request: Request, options?: CallOptions): Promise<Copy[]> {
    return (await this.#call<PublishAnswer>('POST', `${topicPath(topic)}/messages`, request, options))
      .messages
  }

  /** Subscribes a queue to a topic, or changes the pattern given. Makes the queue if there is none. */
  subscribe(
    topic: string,
    queue: string,
    change: SubscriptionChange = {},
    options?: CallOptions
  ): Promise<Subscription> {
    return this.#call('PUT', subscriptionPath(topic, queue), { body: change }, options)
  }

  /** Ends a subscription. Copies that the queue holds stay. */
  async unsubscribe(topic: string, queue: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', subscriptionPath(topic, queue), {}, options)
  }

  /** A page of topics, by name: all, or those to which a queue subscribes. */
  topics(query: TopicsQuery = {}, options?: CallOptions): Promise<TopicList> {
    return this.#call('GET', '/topics', { query }, options)
  }

  /** The subscriptions of a topic. */
  topic(topic: string, options?: CallOptions): Promise<Topic> {
    return this.#call('GET', topicPath(topic), {}, options)
  }

  /** Ends all subscriptions of a topic. */
  async deleteTopic(topic: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', topicPath(topic), {}, options)
  }

  /** A page of queues, by name: all, or those with a dead-letter queue. */
  queues(query: QueuesQuery = {}, options?: CallOptions): Promise<QueueList> {
    return this.#call('GET', '/queues', { query }, options)
  }

  /** A queue's settings, and the number of messages in each state. */
  queue(queue: string, options?: CallOptions): Promise<QueueReport> {
    return this.#call('GET', path(queue), {}, options)
  }

  /** The last hour of a queue: counts, rates, waiting and working times. */
  series(queue: string, options?: CallOptions): Promise<Series> {
    return this.#call('GET', `${path(queue)}/series`, {}, options)
  }

  /** Creates a queue, or changes the settings given. */
  putQueue(queue: string, settings: QueueSettings = {}, options?: CallOptions): Promise<QueueReport> {
    return this.#call('PUT', path(queue), { body: settings }, options)
  }

  /** Removes a queue and its messages. */
  async deleteQueue(queue: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', path(queue), {}, options)
  }

  /** Removes messages. */
  purge(queue: string, request: PurgeRequest = {}, options?: CallOptions): Promise<PurgeAnswer> {
    return this.#call('POST', `${path(queue)}/purge`, { body: request }, options)
  }

  /** Messages that died are ready again: each at home, in the queue `to`, or where it is. */
  redrive(queue: string, request: AtOnce = {}, options?: CallOptions): Promise<RedriveAnswer> {
    return this.#call('POST', `${path(queue)}/redrive`, { body: request }, options)
  }

  /** Starts a redrive that keeps to a rate, and answers its task. */
  startRedrive(queue: string, request: AtRate, options?: CallOptions): Promise<{ task: string }> {
    return this.#call('POST', `${path(queue)}/redrive`, { body: request }, options)
  }

  /** The redrives of a queue that keep to a rate, the newest first. */
  async redrives(queue: string, options?: CallOptions): Promise<RedriveList['redrives']> {
    return (await this.#call<RedriveList>('GET', `${path(queue)}/redrives`, {}, options)).redrives
  }

  /** Stops a redrive with a rate. What it has done stays done. */
  async stopRedrive(queue: string, task: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `${path(queue)}/redrives/${encodeURIComponent(task)}`, {}, options)
  }

  /** Makes delayed and backing-off messages ready now. */
  retry(queue: string, request: RetryRequest = {}, options?: CallOptions): Promise<RetryAnswer> {
    return this.#call('POST', `${path(queue)}/retry`, { body: request }, options)
  }

  /** A page of schedules, by name, without their messages. */
  schedules(query: PageQuery = {}, options?: CallOptions): Promise<ScheduleList> {
    return this.#call('GET', '/schedules', { query }, options)
  }

  /** A schedule with its message and its next times. */
  schedule(name: string, options?: CallOptions): Promise<Schedule> {
    return this.#call('GET', schedulePath(name), {}, options)
  }

  /** Creates a schedule, or changes what is given. */
  putSchedule(name: string, change: ScheduleChange, options?: CallOptions): Promise<Schedule> {
    return this.#call('PUT', schedulePath(name), { body: change }, options)
  }

  /** Enqueues a schedule's message once more. Safe to repeat, as `enqueue` is. */
  runSchedule(
    name: string,
    request: { idempotencyKey?: string | undefined } = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    return this.#call('POST', `${schedulePath(name)}/run`, { body: keyed(request) }, options)
  }

  /** Removes a schedule. Its messages in the queue stay there. */
  async deleteSchedule(name: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', schedulePath(name), {}, options)
  }

  /** All API keys, without their secrets. */
  async keys(options?: CallOptions): Promise<KeyInfo[]> {
    return (await this.#call<{ keys: KeyInfo[] }>('GET', '/keys', {}, options)).keys
  }

  /**
   * Makes an API key. Its `secret` is shown this once. The call is not repeated by itself, because
   * a lost answer may have made a key.
   */
  createKey(request: KeyRequest, options?: CallOptions): Promise<KeyMade> {
    return this.#call('POST', '/keys', { body: request }, { retrySeconds: 0, ...options })
  }

  /** Revokes an API key. */
  async revokeKey(id: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', `/keys/${encodeURIComponent(id)}`, {}, options)
  }

  async #settle(
    queue: string,
    verb: keyof typeof lists,
    items: unknown,
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(items)) {
      return await this.#call<Outcome>(
        'POST',
        `${path(queue)}/${verb}`,
        { body: typeof items === 'string' ? { receipt: items } : items },
        options
      )
    }
    return await this.#settleMany(queue, verb, { [lists[verb]]: items }, options)
  }

  async #settleMany(queue: string, verb: string, body: object, options?: CallOptions): Promise<Outcome[]> {
    return (await this.#call<{ outcomes: Outcome[] }>('POST', `${path(queue)}/${verb}`, { body }, options))
      .outcomes
  }

  #call<Answer>(method: string, path: string, request: Request, options?: CallOptions): Promise<Answer> {
    return this.#calls.call(method, path, request, options)
  }
}

const lists = { ack: 'receipts', fail: 'failures', extend: 'extensions', release: 'receipts' } as const

function path(queue: string): string {
  return `/queues/${encodeURIComponent(queue)}`
}

function topicPath(topic: string): string {
  return `/topics/${encodeURIComponent(topic)}`
}

function subscriptionPath(topic: string, queue: string): string {
  return `${topicPath(topic)}/subscriptions/${encodeURIComponent(queue)}`
}

function schedulePath(name: string): string {
  return `/schedules/${encodeURIComponent(name)}`
}
