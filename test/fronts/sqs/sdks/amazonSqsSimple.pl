# Perl's Amazon::SQS::Simple names no port in its Host field, so the URLs that come back lack it.
# Prints ok at the end.
use strict;
use warnings;
use utf8;
use Amazon::SQS::Simple;

my ($endpoint, $id, $secret) = @ARGV;
my $sqs = Amazon::SQS::Simple->new($id, $secret, Endpoint => $endpoint);
$sqs->CreateQueue('perl', VisibilityTimeout => 30);
my $queue = $sqs->GetQueue("$endpoint/000000000000/perl");
my $body = "Grüße 🐙 + %20 & = <&> ~*'()\n";
my $sent = $queue->SendMessage($body);
my $message = $queue->ReceiveMessage(WaitTimeSeconds => 1);
die 'another id' if $message->MessageId ne $sent->MessageId;
die 'another body' if $message->MessageBody ne $body;
$queue->DeleteMessage($message);
$queue->SendMessageBatch(['a', 'b', 'c + d']);
my @messages = $queue->ReceiveMessageBatch();
die 'not three' if @messages != 3;
$queue->DeleteMessageBatch(\@messages);
$queue->SetAttribute('VisibilityTimeout', 45);
die 'not set' if $queue->GetAttributes()->{VisibilityTimeout} != 45;
die 'not listed' if @{$sqs->ListQueues(QueueNamePrefix => 'perl')} != 1;
eval { $queue->DeleteMessage('garbage') };
die "another error: $@" if $@ !~ /<Code>ReceiptHandleIsInvalid</;
$queue->Delete();
print "ok\n";
