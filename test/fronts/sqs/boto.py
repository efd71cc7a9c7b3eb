"""Debian's boto3 speaks the query protocol. Prints ok at the end."""
import sys
import boto3

sqs = boto3.client(
    'sqs',
    endpoint_url=sys.argv[1],
    region_name='eu-central-1',
    aws_access_key_id=sys.argv[2],
    aws_secret_access_key=sys.argv[3],
)
url = sqs.create_queue(QueueName='boto', Attributes={'VisibilityTimeout': '30'}, tags={'a': 'b'})['QueueUrl']
assert sqs.list_queue_tags(QueueUrl=url)['Tags'] == {'a': 'b'}
attributes = {
    'n': {'DataType': 'Number', 'StringValue': '1'},
    'b': {'DataType': 'Binary', 'BinaryValue': b'\0\1'},
}
sent = sqs.send_message(QueueUrl=url, MessageBody='Grüße 🐙 <&>\r\n', MessageAttributes=attributes)
entries = [{'Id': str(i), 'MessageBody': str(i)} for i in range(9)]
assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)['Successful']) == 9
assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=['All'])['Attributes'][
    'ApproximateNumberOfMessages'
] == '10'
messages = sqs.receive_message(
    QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=['All'], AttributeNames=['All']
)['Messages']
assert len(messages) == 10, len(messages)
first = messages[0]
assert first['MessageId'] == sent['MessageId']
assert first['Body'] == 'Grüße 🐙 <&>\r\n', first['Body']
assert first['MessageAttributes'] == attributes, first
assert first['Attributes']['ApproximateReceiveCount'] == '1'
handles = [{'Id': str(i), 'ReceiptHandle': m['ReceiptHandle']} for i, m in enumerate(messages)]
assert len(sqs.delete_message_batch(QueueUrl=url, Entries=handles)['Successful']) == 10
sqs.delete_queue(QueueUrl=url)
try:
    sqs.get_queue_url(QueueName='boto')
    raise AssertionError('there still is the queue')
except sqs.exceptions.QueueDoesNotExist as error:
    assert error.response['Error']['Code'] == 'AWS.SimpleQueueService.NonExistentQueue', error.response
print('ok')
