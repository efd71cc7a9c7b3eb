/** The shape of a raw lease: the message itself, with the rest in headers. */
import { priorityMax, rawHeadersBytesMax, rawReasonCharsMax } from '../../../core/limits.ts'

const described = (description: string) => ({ type: 'string', description })

export const rawLeaseHeaders = {
  'Holdfast-Id': described('The message id.'),
  'Holdfast-Receipt': described('The proof of this lease. Settle with it.'),
  'Holdfast-Fence': described('Rises with every lease of this message.'),
  'Holdfast-Attempt': described('Counts the leases of this message from 1.'),
  'Holdfast-Max-Attempts': described(
    'After this many attempts the message is dead. Left out where that is never.'
  ),
  'Holdfast-Priority': described(`0 to ${priorityMax}.`),
  'Holdfast-Topic': described('The topic to which it was published.'),
  'Holdfast-Routing-Key': described('The routing key of the publish, percent-encoded.'),
  'Holdfast-Enqueued-At': described('When it was stored. RFC 3339, UTC.'),
  'Holdfast-Lease-Expires-At': described('When the lease ends. RFC 3339, UTC.'),
  'Holdfast-Group': described('The group of the message, percent-encoded.'),
  'Holdfast-Last-Failure': described(
    `Why the last attempt ended badly, percent-encoded, cut at ${rawReasonCharsMax} characters.`
  ),
  'Holdfast-Origin-Queue': described('The queue in which it died, of a message in a dead-letter queue.'),
  'Holdfast-Origin-Died-At': described('When it died there. RFC 3339, UTC.'),
  'Holdfast-Origin-Reason': described(
    `Why its last attempt there ended badly, percent-encoded, cut at ${rawReasonCharsMax} characters.`
  ),
  'Holdfast-Origin-Attempts': described('How many attempts were made there.'),
  'Holdfast-Ack-Outcome': described('What became of the receipt in `ack`.'),
  'Holdfast-Headers-Left-Out': described(
    "How many of the message's own headers are not here: " +
      `together they are larger than ${rawHeadersBytesMax} bytes, or they differ only in case. ` +
      'GET /queues/{queue}/messages/{id} has them all.'
  )
}
