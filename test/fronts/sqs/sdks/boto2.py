"""Debian's boto 2 sends lists of one without a number. Prints ok at the end."""
import sys
from urllib.parse import urlparse
from boto.exception import SQSError
from boto.sqs.connection import SQSConnection
from boto.sqs.message import RawMessage
from boto.sqs.regioninfo import SQSRegionInfo

address = urlparse(sys.argv[1])
sqs = SQSConnection(
    aws_access_key_id=sys.argv[2],
    aws_secret_access_key=sys.argv[3],
    security_token='a token of a session',
    is_secure=False,
    port=address.port,
    region=SQSRegionInfo(name='eu-central-1', endpoint=address.hostname),
)
queue = sqs.create_queue('boto2', 30)
queue.set_message_class(RawMessage)
message = RawMessage(body="Grüße 🐙 + %20 & = <&> ]]>\n ~*'()")
attributes = {
    's': {'data_type': 'String', 'string_value': 'Grüße 🐙 +'},
    'n': {'data_type': 'Number', 'string_value': '1'},
}
message.message_attributes = attributes
queue.write(message)
received = queue.read(visibility_timeout=30, wait_time_seconds=1, message_attributes=['All'])
assert received.get_body() == message.get_body(), received.get_body()
assert received.message_attributes == attributes, received.message_attributes
received.change_visibility(60)
assert received.delete()
queue.write_batch([(i, f'message {i}', 0) for i in range(10)])
assert queue.count() == 10
messages = queue.get_messages(10, attributes='All')
assert len(messages) == 10
assert messages[0].attributes['ApproximateReceiveCount'] == '1'
assert len(queue.delete_message_batch(messages).results) == 10
assert queue.add_permission('label', '111111111111', 'SendMessage')
assert queue.remove_permission('label')
dead = sqs.create_queue('boto2-dead')
arn = dead.get_attributes('QueueArn')['QueueArn']
queue.set_attribute('RedrivePolicy', '{"deadLetterTargetArn":"%s","maxReceiveCount":3}' % arn)
assert [source.name for source in sqs.get_dead_letter_source_queues(dead)] == ['boto2']
assert sqs.get_queue('none') is None
try:
    sqs.delete_message_from_handle(queue, 'garbage')
    raise AssertionError('the receipt was taken')
except SQSError as error:
    assert (error.status, error.error_code) == (404, 'ReceiptHandleIsInvalid')
assert queue.delete() and dead.delete()
print('ok')
