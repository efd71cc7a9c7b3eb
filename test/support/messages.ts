/** The verbs on messages under one name, for tests that run them on a session of their own. */
export * from '../../src/store/verbs/enqueue.ts'
export * from '../../src/store/verbs/lease.ts'
export * from '../../src/store/verbs/leaseKeys.ts'
export * from '../../src/store/verbs/settle.ts'
export * from '../../src/store/verbs/standings.ts'
