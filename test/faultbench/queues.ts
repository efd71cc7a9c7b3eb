/** The queues of a run. */
const settings = {
  leaseSeconds: 5,
  maxAttempts: 8,
  retry: { strategy: 'fixed', delaySeconds: 0.2, jitter: false }
}
const kept = { ...settings, keepAckedSeconds: 86_400 }

/** The queues of the workloads `main` and `spare`: one keeps acked messages, one does not. */
const common: Record<string, object> = { kept, plain: settings }

/** The queues of the workload `special`, each of which promises more; kinds.ts says what is sent. */
const special: Record<string, object> = {
  ordered: { ...kept, ordering: 'group' },
  turns: { ...kept, fairness: 'group' },
  limited: { ...kept, maxLeased: 12 },
  paced: { ...kept, rate: { messages: 5, perSeconds: 1, burst: 5 } },
  mortal: { ...kept, maxAttempts: 1, deadLetterQueue: 'dead' },
  dead: kept,
  steps: kept,
  next: kept,
  unique: { ...kept, maxAttempts: 2 },
  'copies-a': kept,
  'copies-b': kept
}

/** A queue with an order on which one caller of the workload `special` works alone: see kinds.ts. */
const relayed: Record<string, object> = { relay: { ...kept, ordering: 'group' } }

/** Queues that the service delivers to an endpoint. Nobody else works on them. */
const pushed: Record<string, object> = {
  pushed: { ...kept, maxAttempts: null },
  'pushed-ordered': { ...kept, maxAttempts: null, ordering: 'group' }
}
/** A lease of a push outlasts this by ten seconds, so a message of a killed replica is late by that. */
export const push = { timeoutSeconds: 1, maxConcurrent: 20 }

/** The queues that are subscribed to each topic. */
export const copiesOf = { news: ['copies-a', 'copies-b'] }

export const commonQueues = Object.keys(common)
export const specialQueues = Object.keys(special)
export const pushedQueues = Object.keys(pushed)
/** Those in which one answer may bring several messages of a group. */
export const orderedQueues = ['ordered', 'relay']
export const loadedQueues = [...commonQueues, ...specialQueues, ...Object.keys(relayed), ...pushedQueues]

export const queues: Record<string, object> = {
  ...common,
  ...special,
  ...relayed,
  ...pushed,
  // To see whether each replica serves.
  'probe-a': {},
  'probe-b': {},
  // For faults that need messages of their own.
  aside: settings,
  swept: settings,
  quiet: settings
}
