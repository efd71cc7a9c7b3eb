/** Which calls are large: they keep the database busy for long. rests.ts says what follows. */

/** Calls of this size have lanes of their own, so that small messages do not wait for their flushes. */
export const largeBytes = 64 * 1024
/** A call that may lease, settle or read as many messages is large, whatever their bytes are. */
export const largeCount = 200
/** To look at a message is cheaper: a page is large that has looked at as many. */
export const largeExamined = 1000
