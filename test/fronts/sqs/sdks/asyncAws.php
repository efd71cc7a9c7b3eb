<?php
// AsyncAws checks no sums, but has a class for each error. Prints ok at the end.
require '/usr/share/php/AsyncAws/Core/autoload.php';
require '/usr/share/php/AsyncAws/Sqs/autoload.php';

use AsyncAws\Sqs\Exception\QueueDoesNotExistException;
use AsyncAws\Sqs\SqsClient;

function same($expected, $found): void
{
    if ($expected !== $found) {
        throw new Exception(json_encode([$expected, $found]));
    }
}

[, $endpoint, $id, $secret] = $argv;
$sqs = new SqsClient([
    'endpoint' => $endpoint,
    'region' => 'eu-central-1',
    'accessKeyId' => $id,
    'accessKeySecret' => $secret,
    'sessionToken' => 'a token of a session',
]);
$made = $sqs->createQueue(['QueueName' => 'php', 'tags' => ['a+b' => 'c é']]);
$queue = ['QueueUrl' => $made->getQueueUrl()];
$body = "Grüße 🐙 + %20 & = <&> ]]>\n\t ~*'()";
$attributes = [
    's' => ['DataType' => 'String', 'StringValue' => 'Grüße 🐙 +'],
    'n' => ['DataType' => 'Number.int', 'StringValue' => '1'],
    'b' => ['DataType' => 'Binary', 'BinaryValue' => "\0\xff"],
];
$sent = $sqs->sendMessage($queue + ['MessageBody' => $body, 'MessageAttributes' => $attributes]);
$asked = $queue + ['WaitTimeSeconds' => 1, 'MessageAttributeNames' => ['All'], 'AttributeNames' => ['All']];
[$message] = $sqs->receiveMessage($asked)->getMessages();
same($sent->getMessageId(), $message->getMessageId());
same($body, $message->getBody());
same("\0\xff", $message->getMessageAttributes()['b']->getBinaryValue());
same('Number.int', $message->getMessageAttributes()['n']->getDataType());
same('1', $message->getAttributes()['ApproximateReceiveCount']);
$held = $queue + ['ReceiptHandle' => $message->getReceiptHandle()];
$sqs->changeMessageVisibility($held + ['VisibilityTimeout' => 60])->resolve();
$sqs->deleteMessage($held)->resolve();
$entries = array_map(fn ($i) => ['Id' => "i$i", 'MessageBody' => "message $i"], range(0, 8));
same(9, count($sqs->sendMessageBatch($queue + ['Entries' => $entries])->getSuccessful()));
$messages = $sqs->receiveMessage($queue + ['MaxNumberOfMessages' => 10])->getMessages();
same(9, count($messages));
$entries = [['Id' => 'bad', 'ReceiptHandle' => 'garbage']];
foreach ($messages as $i => $message) {
    $entries[] = ['Id' => "i$i", 'ReceiptHandle' => $message->getReceiptHandle()];
}
$deleted = $sqs->deleteMessageBatch($queue + ['Entries' => $entries]);
same(9, count($deleted->getSuccessful()));
same('ReceiptHandleIsInvalid', $deleted->getFailed()[0]->getCode());
$urls = $sqs->listQueues(['QueueNamePrefix' => 'php', 'MaxResults' => 1]);
same([$queue['QueueUrl']], iterator_to_array($urls, false));
same(false, $sqs->queueExists(['QueueName' => 'none'])->isSuccess());
try {
    $sqs->getQueueUrl(['QueueName' => 'none'])->resolve();
    throw new Exception('there is the queue');
} catch (QueueDoesNotExistException $error) {
    same('AWS.SimpleQueueService.NonExistentQueue', $error->getAwsCode());
}
$sqs->deleteQueue($queue)->resolve();
echo "ok\n";
