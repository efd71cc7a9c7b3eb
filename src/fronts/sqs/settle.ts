/** Deleting messages, and changing how long they stay hidden. */
import { QueueError } from '../../core/errors.ts'
import { leaseSecondsMax, receiptCharsMax } from '../../core/limits.ts'
import type { MessageDetail } from '../../core/message.ts'
import { isReceipt, parseReceipt } from '../../core/receipt.ts'
import type { Outcome } from '../../core/verbs/settle.ts'
import { batchResult, checkEntries, type Entry, type Failed } from './batch.ts'
import { queueOf, type Call, type Operation } from './call.ts'
import { invalidValue, missing, SqsError } from './errors.ts'
import { isFifoName } from './ids.ts'
import type { Nothing, OperationName } from './structures.ts'

interface OfQueue {
  QueueUrl: string
}
interface Receipt {
  ReceiptHandle: string
}
interface Change extends Receipt {
  VisibilityTimeout?: number
}

const pointer = (index: number) => `/${index}`

/** Acks a message. Refuses with ReceiptHandleIsInvalid, QueueDoesNotExist. One that is gone is no error. */
export const deleteMessage: Operation<'DeleteMessage'> = (call, input) => single(call, deleteAll, input)
/** The same for up to ten messages: each is refused by itself. */
export const deleteMessageBatch: Operation<'DeleteMessageBatch'> = (call, input) =>
  batch(call, deleteAll, 'DeleteMessageBatch', input)
/**
 * Extends a lease, or ends it with 0. One whose time is over stays as it is, and that is no error in a
 * standard queue. Refuses with ReceiptHandleIsInvalid, and with InvalidParameterValue where the message
 * is gone. Refuses with MessageNotInflight where somebody else holds the message, or where it is visible
 * in a FIFO queue.
 */
export const changeMessageVisibility: Operation<'ChangeMessageVisibility'> = (call, input) =>
  single(call, changeAll, input)
/** The same for up to ten messages: each is refused by itself. */
export const changeMessageVisibilityBatch: Operation<'ChangeMessageVisibilityBatch'> = (call, input) =>
  batch(call, changeAll, 'ChangeMessageVisibilityBatch', input)

/** What became of each receipt. null: what was asked for. */
type Settle<R> = (call: Call, queue: string, receipts: R[]) => Promise<(SqsError | null)[]>

async function single<R extends Receipt>(
  call: Call,
  settle: Settle<R>,
  receipt: R & OfQueue
): Promise<Nothing> {
  const queue = queueOf(call, 'lease', receipt.QueueUrl)
  await call.broker.findQueue(call.caller, queue)
  const [error] = await settleReadable(call, settle, queue, [receipt])
  if (error !== null) throw error
  return {}
}

async function batch<R extends Receipt>(
  call: Call,
  settle: Settle<R>,
  operation: OperationName,
  input: OfQueue & { Entries: (R & Entry)[] }
): Promise<ReturnType<typeof batchResult>> {
  const queue = queueOf(call, 'lease', input.QueueUrl)
  await call.broker.findQueue(call.caller, queue)
  const entries = checkEntries(input.Entries, operation)
  const errors = await settleReadable(call, settle, queue, entries)
  const failed: Failed[] = []
  entries.forEach(({ Id: id }, index) => {
    if (errors[index] !== null) failed.push({ id, error: errors[index]! })
  })
  const successful = entries.filter((_, index) => errors[index] === null)
  return batchResult(
    successful.map(({ Id }) => ({ Id })),
    failed
  )
}

/** One handle that cannot be read refuses nothing but itself. */
async function settleReadable<R extends Receipt>(
  call: Call,
  settle: Settle<R>,
  queue: string,
  receipts: R[]
): Promise<(SqsError | null)[]> {
  const errors = receipts.map(({ ReceiptHandle }) => unreadable(queue, ReceiptHandle))
  const readable = receipts.filter((_, index) => errors[index] === null)
  const settled = readable.length === 0 ? [] : await settle(call, queue, readable)
  return errors.map(error => error ?? settled.shift()!)
}

function unreadable(queue: string, handle: string): SqsError | null {
  if (handle === '') return missing('ReceiptHandle')
  try {
    parseReceipt(queue, handle, '')
    return null
  } catch (error) {
    if (!(error instanceof QueueError)) throw error
    const shown = `receipt handle "${handle.slice(0, receiptCharsMax)}"`
    return new SqsError(
      'ReceiptHandleIsInvalid',
      isReceipt(handle)
        ? `The ${shown} is not valid for this queue.`
        : `The input ${shown} is not a valid receipt handle.`
    )
  }
}

/**
 * A receipt that was overtaken deletes nothing, and is answered as AWS does: as if it had. In a FIFO
 * queue one is refused whose lease is over.
 */
async function deleteAll(call: Call, queue: string, receipts: Receipt[]): Promise<(SqsError | null)[]> {
  const isFifo = isFifoName(queue)
  const over = await Promise.all(
    receipts.map(async receipt => isFifo && (await isOver(call, queue, receipt)))
  )
  const settlements = receipts
    .filter((_, index) => !over[index])
    .map(({ ReceiptHandle: receipt }) => ({ receipt }))
  const outcomes =
    settlements.length === 0 ? [] : await call.broker.settle(call.caller, queue, 'ack', settlements, pointer)
  return receipts.map((receipt, index) => {
    const isStale = over[index] || outcomes.shift()!.outcome === 'leaseLost'
    // Nobody is told in a standard queue, so its operator can see it here.
    if (isStale) call.broker.replicaStats.deletedNothing()
    return isStale && isFifo ? expired(receipt) : null
  })
}

/** Whether nobody holds the message. One that is gone counts as held: its receipt was good. */
async function isOver(call: Call, queue: string, receipt: Receipt): Promise<boolean> {
  const detail = await detailOf(call, queue, receipt)
  return detail !== null && (detail.lease === null || Date.parse(detail.lease.expiresAt) <= Date.now())
}

/** null: the message is gone. */
async function detailOf(
  { broker, caller }: Call,
  queue: string,
  { ReceiptHandle: receipt }: Receipt
): Promise<MessageDetail | null> {
  const { id } = parseReceipt(queue, receipt, '')
  try {
    return await broker.message(caller, queue, id)
  } catch (error) {
    if (error instanceof QueueError && error.code === 'messageNotFound') return null
    throw error
  }
}

const expired = ({ ReceiptHandle: handle }: Receipt) =>
  invalidValue(
    `Value ${handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`
  )

async function changeAll(call: Call, queue: string, changes: Change[]): Promise<(SqsError | null)[]> {
  const errors = await Promise.all(changes.map(change => outOfBounds(call, queue, change)))
  const run = async (verb: 'extend' | 'fail', chosen: Change[]) => {
    const settlements = chosen.map(({ ReceiptHandle: receipt, VisibilityTimeout: leaseSeconds }) =>
      verb === 'extend'
        ? { receipt, leaseSeconds: leaseSeconds! }
        : { receipt, delaySeconds: 0, reason: 'returned' }
    )
    return settlements.length === 0
      ? []
      : await call.broker.settle(call.caller, queue, verb, settlements, pointer)
  }
  const good = changes.filter((_, index) => errors[index] === null)
  const isEnd = ({ VisibilityTimeout }: Change) => VisibilityTimeout === 0
  // First those that keep a lease: the same receipt may stand in both, and an end leaves none.
  const extended = await run(
    'extend',
    good.filter(change => !isEnd(change))
  )
  const ended = await run('fail', good.filter(isEnd))
  return await Promise.all(
    changes.map(async (change, index) => {
      if (errors[index] !== null) return errors[index]!
      const error = errorOf((isEnd(change) ? ended : extended).shift()!, change)
      // Nobody holds the message: it is visible, and AWS leaves it so.
      const mayBeOver = error?.code === 'MessageNotInflight' && (isEnd(change) || !isFifoName(queue))
      return mayBeOver && (await isOver(call, queue, change)) ? null : error
    })
  )
}

function errorOf({ outcome }: Outcome, { ReceiptHandle: handle }: Change): SqsError | null {
  if (outcome === 'extended' || outcome === 'retrying' || outcome === 'dead') return null
  if (outcome === 'gone') {
    return invalidValue(
      `Value ${handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not ` +
        'available for visibility timeout change.'
    )
  }
  return new SqsError('MessageNotInflight', 'The specified message is not in flight.')
}

/** Only a long time can pass twelve hours in all, so the time of the receive is looked up for one alone. */
const lookUpSecondsMin = leaseSecondsMax / 2

async function outOfBounds(call: Call, queue: string, change: Change): Promise<SqsError | null> {
  const { VisibilityTimeout: seconds } = change
  const wrong = (why: string) =>
    invalidValue(`Value ${seconds} for parameter VisibilityTimeout is invalid. Reason: ${why}`)
  if (seconds === undefined) {
    return missing('VisibilityTimeout')
  }
  if (!(seconds >= 0 && seconds <= leaseSecondsMax)) return wrong(`Must be between 0 and ${leaseSecondsMax}.`)
  if (seconds < lookUpSecondsMin) return null
  const detail = await detailOf(call, queue, change)
  if (detail?.lease == null) return null
  // Whole seconds, so that a worker can ask for all twelve hours at once.
  const heldSeconds = Math.floor((Date.now() - Date.parse(detail.lease.leasedAt)) / 1000)
  if (heldSeconds + seconds <= leaseSecondsMax) return null
  return wrong(`Total VisibilityTimeout for the message is beyond the limit [${leaseSecondsMax} seconds].`)
}
