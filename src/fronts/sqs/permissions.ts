/**
 * AddPermission and RemovePermission. They change the attribute Policy, which gives nobody a right:
 * rights are those of API keys.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Revise } from '../../core/queue.ts'
import { queueOf, type Call } from './call.ts'
import { invalidValue, missing, SqsError } from './errors.ts'
import { arnOf } from './ids.ts'
import { checkKept } from './queueAttributes.ts'
import { operations } from './shapes.ts'
import type { AnswerOf, InputOf, Nothing } from './structures.ts'

interface Statement {
  Sid?: string
}
interface Policy {
  Version?: string
  Id?: string
  /** Whatever JSON the caller has set. */
  Statement?: (Statement | null)[]
}

const actionsMax = 7
const statementsMax = 20
const labelPattern = /^[A-Za-z0-9_-]{1,80}$/
const granted = new Set([
  '*',
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ListDeadLetterSourceQueues',
  'PurgeQueue',
  'ReceiveMessage',
  'SendMessage'
])

const wrongLabel = (label: string, why: string) =>
  invalidValue(`Value ${label} for parameter Label is invalid. Reason: ${why}.`)

/**
 * Adds a statement to the policy of a queue. The same statement again changes nothing. Refuses with
 * InvalidParameterValue where another one has its label, and with OverLimit.
 */
export async function addPermission(
  call: Call,
  input: InputOf<'AddPermission'>
): Promise<AnswerOf<'AddPermission'>> {
  const queue = queueOf(call, 'manage', input.QueueUrl)
  const { Label: label, AWSAccountIds: accounts, Actions: actions } = input
  check(label, accounts, actions)
  const arn = arnOf(call.region(), queue)
  const added = {
    Sid: label,
    Effect: 'Allow',
    Principal: { AWS: oneOrAll(accounts.map(account => `arn:aws:iam::${account}:root`)) },
    Action: oneOrAll(actions.map(action => `SQS:${action}`)),
    Resource: arn
  }
  return await changePolicy(call, queue, given => {
    const { Statement: statements = [], ...policy } = given
    const same = statements.find(statement => statement?.Sid === label)
    if (same !== undefined && isDeepStrictEqual(same, added)) return given
    if (same !== undefined) throw wrongLabel(label, 'Already exists')
    if (statements.length >= statementsMax) {
      const found = statements.length + 1
      throw new SqsError('OverLimit', `${found} Statements were found, maximum allowed is ${statementsMax}.`)
    }
    const first = { Version: '2008-10-17', Id: `${arn}/SQSDefaultPolicy` }
    return { ...first, ...policy, Statement: [...statements, added] }
  })
}

/** Removes a statement from the policy of a queue. Refuses with InvalidParameterValue: no such label. */
export async function removePermission(
  call: Call,
  input: InputOf<'RemovePermission'>
): Promise<AnswerOf<'RemovePermission'>> {
  const queue = queueOf(call, 'manage', input.QueueUrl)
  const { Label: label } = input
  return await changePolicy(call, queue, ({ Statement: statements = [], ...policy }) => {
    const rest = statements.filter(statement => statement?.Sid !== label)
    if (rest.length === statements.length) throw wrongLabel(label, "can't find label")
    return rest.length === 0 ? null : { ...policy, Statement: rest }
  })
}

function check(label: string, accounts: string[], actions: string[]): void {
  if (label === '') throw missing('Label')
  if (!labelPattern.test(label)) {
    throw wrongLabel(
      label,
      'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length'
    )
  }
  if (actions.length === 0) throw missing('Actions')
  if (actions.length > actionsMax) {
    throw new SqsError('OverLimit', `${actions.length} Actions were found, maximum allowed is ${actionsMax}.`)
  }
  const wrong = actions.find(action => !granted.has(action))
  if (wrong !== undefined) {
    const why = Object.hasOwn(operations, wrong)
      ? 'Only the queue owner is allowed to invoke this action'
      : 'Please refer to the appropriate WSDL for a list of valid actions'
    throw invalidValue(`Value SQS:${wrong} for parameter ActionName is invalid. Reason: ${why}.`)
  }
  if (accounts.length === 0 || !accounts.every(account => /^\d{12}$/.test(account))) {
    throw invalidValue(
      `Value [${accounts.join(', ')}] for parameter PrincipalId is invalid. Reason: Unable to verify.`
    )
  }
}

const oneOrAll = (values: string[]) => (values.length === 1 ? values[0] : values)

/** null: the queue has no policy any more. The policy itself stays as it was written. */
async function changePolicy(
  { broker, caller }: Call,
  queue: string,
  changed: (policy: Policy) => Policy | null
): Promise<Nothing> {
  const revise: Revise = ({ front }) => {
    const given = policyOf(front.Policy)
    const policy = changed(given)
    if (policy === given) return {}
    const text = policy === null ? null : JSON.stringify(policy)
    checkKept('Policy', text ?? '')
    return { front: { Policy: text } }
  }
  await broker.putQueue(caller, queue, {}, { only: 'existing', revise })
  return {}
}

function policyOf(text = '{}'): Policy {
  const policy: Policy = JSON.parse(text)
  if (policy.Statement === undefined || Array.isArray(policy.Statement)) return policy
  return { ...policy, Statement: [policy.Statement] }
}
