/** Moving messages out of dead-letter queues. */
import { everything } from '../../core/message.ts'
import type { RedriveTask } from '../../core/redrive.ts'
import { everyQueue, type QueueReport } from '../../core/queue.ts'
import { QueueError } from '../../core/errors.ts'
import { permitOn, type Call } from './call.ts'
import { invalidValue, queueDoesNotExist, SqsError } from './errors.ts'
import { arnOf, isFifoName, queueOfArn, readTaskHandle, taskHandleOf, taskIdOf } from './ids.ts'
import type { AnswerOf, InputOf, StructureOf } from './structures.ts'

const perSecondMax = 500
/** What a task that names no rate keeps to. It differs from every rate that one can name. */
const perSecondUnnamed = 499.5
const resultsMax = 10

const notFound = (what: string) => new SqsError('ResourceNotFoundException', what)

/** The queue of an ARN, if the key may do this there. A missing one is no resource. */
async function reportOf(call: Call, name: string, queue: string): Promise<QueueReport> {
  try {
    permitOn(call, 'manage', queue)
    return await call.broker.reportQueue(call.caller, queue)
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'queueNotFound') throw error
    throw notFound(`The resource that you specified for the ${name} parameter doesn't exist.`)
  }
}

/**
 * Starts to move the messages of a dead-letter queue home, or to another queue. Refuses with
 * ResourceNotFoundException where a queue is missing. Refuses with InvalidParameterValue where the
 * source is no dead-letter queue, the two do not fit, or a task runs already.
 */
export async function startMessageMoveTask(
  call: Call,
  input: InputOf<'StartMessageMoveTask'>
): Promise<AnswerOf<'StartMessageMoveTask'>> {
  const { broker, caller } = call
  const rate = input.MaxNumberOfMessagesPerSecond
  if (rate !== undefined && !(rate >= 1 && rate <= perSecondMax)) {
    throw invalidValue(
      `Value ${rate} for parameter MaxNumberOfMessagesPerSecond is invalid. ` +
        `Reason: Must be between 1 and ${perSecondMax}.`
    )
  }
  const source = queueOfArn(input.SourceArn, 'SourceArn')
  await reportOf(call, 'SourceArn', source)
  const target =
    input.DestinationArn === undefined ? null : queueOfArn(input.DestinationArn, 'DestinationArn')
  if (!(await isDeadLetterQueue(call, source))) {
    throw invalidValue('Source queue must be configured as a Dead Letter Queue.')
  }
  if (target !== null) {
    if (target === source) {
      throw invalidValue('Source queue arn and destination queue arn cannot be the same.')
    }
    if (isFifoName(target) !== isFifoName(source)) {
      throw invalidValue('The source queue and destination queue must be of the same queue type.')
    }
    await reportOf(call, 'DestinationArn', target)
    permitOn(call, 'enqueue', target)
  }
  const task = await broker.startRedrive(caller, source, {
    selection: everything,
    to: target,
    ratePerSecond: rate ?? perSecondUnnamed,
    kind: 'move'
  })
  return { TaskHandle: taskHandleOf(task, arnOf(call.region(), source)) }
}

async function isDeadLetterQueue({ broker, caller }: Call, queue: string): Promise<boolean> {
  const { names } = await broker.listQueueNames(caller, { after: '', limit: 1, scope: everyQueue }, queue)
  return names.length > 0
}

const statusOf = { running: 'RUNNING', done: 'COMPLETED', stopped: 'CANCELLED', failed: 'FAILED' } as const
const reasonOf = {
  queueNotFound: queueDoesNotExist().legacyCode,
  originUnknown: 'CouldNotDetermineMessageSource',
  refused: 'InternalFailure'
}

/** The last tasks of a dead-letter queue. Refuses with ResourceNotFoundException. */
export async function listMessageMoveTasks(
  call: Call,
  { MaxResults: max = 1, SourceArn }: InputOf<'ListMessageMoveTasks'>
): Promise<AnswerOf<'ListMessageMoveTasks'>> {
  if (!(max >= 1 && max <= resultsMax)) {
    throw invalidValue(
      `Value ${max} for parameter MaxResults is invalid. Reason: Must be between 1 and ${resultsMax}.`
    )
  }
  const source = queueOfArn(SourceArn, 'SourceArn')
  const { counts } = await reportOf(call, 'SourceArn', source)
  const tasks = await call.broker.listRedrives(call.caller, source)
  return {
    Results: tasks.slice(0, max).map(task => shown(call, source, task, counts.ready + counts.delayed))
  }
}

function shown(
  { region }: Call,
  source: string,
  task: RedriveTask,
  left: number
): StructureOf<'ListMessageMoveTasksResultEntry'> {
  const isRunning = task.state === 'running'
  const arn = arnOf(region(), source)
  return {
    ...(isRunning && { TaskHandle: taskHandleOf(task.task, arn) }),
    Status: statusOf[task.state],
    SourceArn: arn,
    ...(task.to !== null && { DestinationArn: arnOf(region(), task.to) }),
    ...(task.ratePerSecond !== perSecondUnnamed && { MaxNumberOfMessagesPerSecond: task.ratePerSecond }),
    ApproximateNumberOfMessagesMoved: task.redriven,
    ApproximateNumberOfMessagesToMove: task.redriven + (task.state === 'done' ? 0 : left),
    ...(task.failure !== null && { FailureReason: reasonOf[task.failure] }),
    StartedTimestamp: Date.parse(task.startedAt)
  }
}

/** Stops a task that runs. Refuses with ResourceNotFoundException where it does not. */
export async function cancelMessageMoveTask(
  call: Call,
  input: InputOf<'CancelMessageMoveTask'>
): Promise<AnswerOf<'CancelMessageMoveTask'>> {
  const { broker, caller } = call
  const handle = readTaskHandle(input.TaskHandle)
  if (handle === null) throw invalidValue('Value for parameter TaskHandle is invalid.')
  await reportOf(call, 'SourceArn', handle.source)
  const find = async () =>
    (await broker.listRedrives(caller, handle.source)).find(({ task }) => taskIdOf(task) === handle.taskId)
  const found = await find()
  if (found?.state !== 'running') throw notFound('Task does not exist.')
  await broker.stopRedrive(caller, handle.source, found.task)
  return { ApproximateNumberOfMessagesMoved: (await find())?.redriven ?? 0 }
}
