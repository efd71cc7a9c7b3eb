/** Every bound that a caller can meet, with its unit in the name. */

const daySeconds = 86_400
const yearSeconds = 365 * daySeconds

/** Messages, receipts or ids in one request. */
export const listMax = 1000
/** Nested arrays and objects in the JSON of a request. */
export const nestingMax = 1000
/** Values in the JSON of a request beside what is in message bodies. A full list has fewer. */
export const requestValuesMax = 100_000
/** Members of one object there. */
export const requestMembersMax = 1000
export const messageBytesMax = 1_048_576
/** What an ack may say came of the work, as JSON text. */
export const resultBytesMax = 65_536
/** Next messages of one ack. A request has at most `listMax` of them. */
export const thenMax = 100
/** An answer that carries bodies stops before this size, but it brings at least one message. */
export const answerBytesMax = 8_388_608

export const waitSecondsMax = 60
export const leaseSecondsMax = 43_200
export const delaySecondsMax = yearSeconds
export const ttlSecondsMax = 10 * yearSeconds
export const retentionSecondsMax = 10 * yearSeconds
export const dedupSecondsMax = yearSeconds
export const keepAckedSecondsMax = yearSeconds
export const maxAttemptsMax = 1000
export const maxDepthMax = 1_000_000_000
export const maxLeasedMax = 1_000_000
export const rateMessagesMax = 1_000_000
export const ratePerSecondsMin = 0.1
export const ratePerSecondsMax = daySeconds
/** Of a queue, with the characters of a tag's name and of its value. */
export const tagsMax = 50
export const tagNameCharsMax = 128
export const tagValueCharsMax = 256
export const priorityMax = 9

export const headersMax = 64
export const headerNameCharsMax = 256
export const headerValueCharsMax = 4096
export const contentTypeCharsMax = 256
export const groupCharsMax = 128
export const idempotencyKeyCharsMax = 255
export const uniqueKeyCharsMax = 255
export const workerCharsMax = 128
export const reasonCharsMax = 4096
export const receiptCharsMax = 200
/** Digits of a message id in a list of ids. */
export const messageIdCharsMax = 18

/** Of a message's own headers in a raw lease, and of its last failure's reason there. */
export const rawHeadersBytesMax = 8192
export const rawReasonCharsMax = 500

/** Rows on one page of a list, and what a page holds when the call does not say. */
export const pageRowsMax = 1000
export const pageRowsDefault = 100
export const cursorCharsMax = 200
/** Of `contains` and `reason` in a filter. */
export const filterCharsMax = 200
/** Attempts shown of one message, the last ones, and bytes of their reasons. */
export const historyMax = 1000
export const historyBytesMax = 262_144
/** Messages counted before a ready one, to explain its place. */
export const aheadMax = 10_000
/** A dry run stops counting after this time, and so does the grouping of failures. */
export const countSecondsMax = 2

/** Messages in each state that are examined to group failures, and groups shown. */
export const failuresExaminedMax = 10_000
export const failureGroupsMax = 100
/** Of each reason: what comes later makes no group of its own. */
export const failureReasonCharsMax = 500

/** Groups on one page, those that are examined for it, and messages of each that are examined. */
export const groupRowsMax = 100
export const groupsExaminedMax = 5000
export const groupExaminedMax = 1000
/** Of a cursor, which holds a group's name of up to 128 characters in base64. */
export const groupCursorCharsMax = 700

/** Consumers shown of a queue. */
export const consumersMax = 200
/** Read to find them: rows of leases of any queue, attempts in those, and rows of the history. */
export const consumerLeaseRowsMax = 10_000
export const consumerAttemptsMax = 20_000
export const consumerHistoryMax = 2000
/** How long a consumer is shown after an attempt that ended badly. */
export const consumerSeconds = 3600

/** Of queues, of schedules, and of topics. */
export const nameCharsMax = 80
export const apiKeysMax = 1000
export const apiKeyNameCharsMax = 128
export const rightsMax = 100
/** Requests or messages a second of one API key. */
export const rateMax = 1_000_000
/** Messages a second of a redrive: one in 1000 seconds. */
export const redriveRateMin = 0.001

export const routingKeyCharsMax = 255
/** Of all topics together, so there are at most as many topics. */
export const subscriptionsMax = 20_000
export const subscriptionsPerTopicMax = 1000
/**
 * Copies that one publish stores, and the bytes of their bodies and headers. The bytes are half of
 * what may wait to be stored, so one caller leaves room for others.
 */
export const publishCopiesMax = 10_000
export const publishBytesMax = 33_554_432
/** Comparisons of words of routing keys and patterns, which take 0.1 s. */
export const publishStepsMax = 100_000_000

/** Of all queues together. */
export const pushesMax = 5000
export const pushUrlCharsMax = 2048
/** Requests to one endpoint at one time, of one replica. */
export const pushConcurrentMax = 1000
export const pushTimeoutSecondsMax = 300
/** Of a push, with the characters of a name and of a value. */
export const pushHeadersMax = 20
export const pushHeaderNameCharsMax = 128
export const pushHeaderValueCharsMax = 2048
/** Of all names and values together. Each process holds those of all pushes, and reads them at a change. */
export const pushHeadersCharsMax = 4096
/** Of an endpoint's answer, kept as the reason of a failure; and the bytes that are read at most. */
export const pushReasonCharsMax = 500
export const pushAnswerBytesMax = 16_384
/** How long a replaced secret signs too. */
export const pushRotationSeconds = daySeconds
/** Requests to all endpoints at one time, of one replica. Pushes of one key alone may hold half of it. */
export const pushRequestsMax = 4000
/** Deliveries of a queue that a process remembers. */
export const pushDeliveriesMax = 50

export const cronCharsMax = 200
export const timezoneCharsMax = 64
/** The next times shown of a schedule. */
export const nextRunsMax = 5

/** Queues on the metrics page, the active ones first. */
export const metricsQueuesMax = 1000
/** Queues in the console's list, by name. */
export const overviewQueuesMax = 20_000
/** Rows on one page of the console's lists, and what a page holds when the call does not say. */
export const consoleRowsMax = 100
export const consoleRowsDefault = 50
/** The number of a page. */
export const consolePageMax = 1_000_000
/** Open pages of the console that one replica serves. */
export const streamsMax = 100
/**
 * Milliseconds in a second in which one caller may let the callers of all queues wait, and the longest
 * such wait at one time.
 */
export const standstillMsPerSecond = 50
export const standstillMsMax = 50
/** Requests of one connection at work: the one that is answered first, and those sent behind it. */
export const connectionRequestsMax = 16
/** Requests that one connection may send before the first of them is answered. */
export const requestsAheadMax = 256
/** Slower than any line in use. A caller must read an answer at this pace. */
export const readingBytesPerSecondMin = 8192
