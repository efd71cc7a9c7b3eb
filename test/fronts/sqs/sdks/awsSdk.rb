# Version 1 of the SDK for Ruby checks the sums of all that it sends and receives. It names no port in
# its Host field. Prints ok at the end.
require 'aws-sdk-v1'
require 'uri'

def same(expected, found)
  raise [expected, found].inspect unless expected == found
end

address = URI(ARGV[0])
sqs = AWS::SQS.new(
  access_key_id: ARGV[1],
  secret_access_key: ARGV[2],
  session_token: 'a token of a session',
  use_ssl: false,
  sqs_endpoint: address.host,
  sqs_port: address.port,
  sqs_region: 'eu-central-1'
)
queue = sqs.queues.create('ruby', visibility_timeout: 30)
same('arn:aws:sqs:eu-central-1:000000000000:ruby', queue.arn)
body = "Grüße 🐙 + %20 & = <&> ]]>\n\t ~*'()"
attributes = {
  's' => { data_type: 'String', string_value: 'Grüße 🐙' },
  'n' => { data_type: 'Number', string_value: '1' },
  'b' => { data_type: 'Binary', binary_value: "\0\xff".b }
}
sent = queue.send_message(body, message_attributes: attributes)
message = queue.receive_message(wait_time_seconds: 1, attributes: [:all], message_attribute_names: ['All'])
same(sent.message_id, message.id)
same(body, message.body)
same("\0\xff".b, message.message_attributes['b'][:binary_value])
same(1, message.receive_count)
message.visibility_timeout = 60
message.delete
same(10, queue.batch_send((0..9).map { |i| "message #{i}" }).size)
messages = queue.receive_messages(limit: 10)
same(10, messages.size)
queue.batch_change_visibility(50, messages)
queue.batch_delete(messages)
same([0, 0], [queue.visible_messages, queue.invisible_messages])
same(['ruby'], sqs.queues.with_prefix('ruby').map { |found| found.url.split('/').last })
begin
  sqs.queues.named('none')
  raise 'there is the queue'
rescue AWS::SQS::Errors::NonExistentQueue => error
  same('AWS.SimpleQueueService.NonExistentQueue', error.code)
end
queue.delete
puts 'ok'
