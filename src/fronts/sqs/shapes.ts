/**
 * The operations of SQS, their shapes and their errors. Made from @aws-sdk/client-sqs by
 * HOLDFAST_TEST_WRITE=1 node test/fronts/sqs/shapes.test.ts. Do not edit.
 */
import type { ErrorTable, OperationTable, StructureTable } from './shape.ts'

export const operations = {
  AddPermission: { input: 'AddPermissionRequest', output: null },
  CancelMessageMoveTask: { input: 'CancelMessageMoveTaskRequest', output: 'CancelMessageMoveTaskResult' },
  ChangeMessageVisibility: { input: 'ChangeMessageVisibilityRequest', output: null },
  ChangeMessageVisibilityBatch: {
    input: 'ChangeMessageVisibilityBatchRequest',
    output: 'ChangeMessageVisibilityBatchResult'
  },
  CreateQueue: { input: 'CreateQueueRequest', output: 'CreateQueueResult' },
  DeleteMessage: { input: 'DeleteMessageRequest', output: null },
  DeleteMessageBatch: { input: 'DeleteMessageBatchRequest', output: 'DeleteMessageBatchResult' },
  DeleteQueue: { input: 'DeleteQueueRequest', output: null },
  GetQueueAttributes: { input: 'GetQueueAttributesRequest', output: 'GetQueueAttributesResult' },
  GetQueueUrl: { input: 'GetQueueUrlRequest', output: 'GetQueueUrlResult' },
  ListDeadLetterSourceQueues: {
    input: 'ListDeadLetterSourceQueuesRequest',
    output: 'ListDeadLetterSourceQueuesResult'
  },
  ListMessageMoveTasks: { input: 'ListMessageMoveTasksRequest', output: 'ListMessageMoveTasksResult' },
  ListQueueTags: { input: 'ListQueueTagsRequest', output: 'ListQueueTagsResult' },
  ListQueues: { input: 'ListQueuesRequest', output: 'ListQueuesResult' },
  PurgeQueue: { input: 'PurgeQueueRequest', output: null },
  ReceiveMessage: { input: 'ReceiveMessageRequest', output: 'ReceiveMessageResult' },
  RemovePermission: { input: 'RemovePermissionRequest', output: null },
  SendMessage: { input: 'SendMessageRequest', output: 'SendMessageResult' },
  SendMessageBatch: { input: 'SendMessageBatchRequest', output: 'SendMessageBatchResult' },
  SetQueueAttributes: { input: 'SetQueueAttributesRequest', output: null },
  StartMessageMoveTask: { input: 'StartMessageMoveTaskRequest', output: 'StartMessageMoveTaskResult' },
  TagQueue: { input: 'TagQueueRequest', output: null },
  UntagQueue: { input: 'UntagQueueRequest', output: null }
} as const satisfies OperationTable

export const structures = {
  AddPermissionRequest: {
    required: ['QueueUrl', 'Label', 'AWSAccountIds', 'Actions'],
    members: {
      QueueUrl: 'string',
      Label: 'string',
      AWSAccountIds: { list: 'string', name: 'AWSAccountId' },
      Actions: { list: 'string', name: 'ActionName' }
    }
  },
  BatchResultErrorEntry: {
    required: ['Id', 'SenderFault', 'Code'],
    members: { Id: 'string', SenderFault: 'boolean', Code: 'string', Message: 'string' }
  },
  CancelMessageMoveTaskRequest: { required: ['TaskHandle'], members: { TaskHandle: 'string' } },
  CancelMessageMoveTaskResult: { required: [], members: { ApproximateNumberOfMessagesMoved: 'integer' } },
  ChangeMessageVisibilityBatchRequest: {
    required: ['QueueUrl', 'Entries'],
    members: {
      QueueUrl: 'string',
      Entries: {
        list: 'ChangeMessageVisibilityBatchRequestEntry',
        name: 'ChangeMessageVisibilityBatchRequestEntry'
      }
    }
  },
  ChangeMessageVisibilityBatchRequestEntry: {
    required: ['Id', 'ReceiptHandle'],
    members: { Id: 'string', ReceiptHandle: 'string', VisibilityTimeout: 'integer' }
  },
  ChangeMessageVisibilityBatchResult: {
    required: ['Successful', 'Failed'],
    members: {
      Successful: {
        list: 'ChangeMessageVisibilityBatchResultEntry',
        name: 'ChangeMessageVisibilityBatchResultEntry'
      },
      Failed: { list: 'BatchResultErrorEntry', name: 'BatchResultErrorEntry' }
    }
  },
  ChangeMessageVisibilityBatchResultEntry: { required: ['Id'], members: { Id: 'string' } },
  ChangeMessageVisibilityRequest: {
    required: ['QueueUrl', 'ReceiptHandle', 'VisibilityTimeout'],
    members: { QueueUrl: 'string', ReceiptHandle: 'string', VisibilityTimeout: 'integer' }
  },
  CreateQueueRequest: {
    required: ['QueueName'],
    members: {
      QueueName: 'string',
      Attributes: { map: 'string', name: 'Attribute', key: 'Name', value: 'Value' },
      tags: { map: 'string', name: 'Tag', key: 'Key', value: 'Value' }
    }
  },
  CreateQueueResult: { required: [], members: { QueueUrl: 'string' } },
  DeleteMessageBatchRequest: {
    required: ['QueueUrl', 'Entries'],
    members: {
      QueueUrl: 'string',
      Entries: { list: 'DeleteMessageBatchRequestEntry', name: 'DeleteMessageBatchRequestEntry' }
    }
  },
  DeleteMessageBatchRequestEntry: {
    required: ['Id', 'ReceiptHandle'],
    members: { Id: 'string', ReceiptHandle: 'string' }
  },
  DeleteMessageBatchResult: {
    required: ['Successful', 'Failed'],
    members: {
      Successful: { list: 'DeleteMessageBatchResultEntry', name: 'DeleteMessageBatchResultEntry' },
      Failed: { list: 'BatchResultErrorEntry', name: 'BatchResultErrorEntry' }
    }
  },
  DeleteMessageBatchResultEntry: { required: ['Id'], members: { Id: 'string' } },
  DeleteMessageRequest: {
    required: ['QueueUrl', 'ReceiptHandle'],
    members: { QueueUrl: 'string', ReceiptHandle: 'string' }
  },
  DeleteQueueRequest: { required: ['QueueUrl'], members: { QueueUrl: 'string' } },
  GetQueueAttributesRequest: {
    required: ['QueueUrl'],
    members: { QueueUrl: 'string', AttributeNames: { list: 'string', name: 'AttributeName' } }
  },
  GetQueueAttributesResult: {
    required: [],
    members: { Attributes: { map: 'string', name: 'Attribute', key: 'Name', value: 'Value' } }
  },
  GetQueueUrlRequest: {
    required: ['QueueName'],
    members: { QueueName: 'string', QueueOwnerAWSAccountId: 'string' }
  },
  GetQueueUrlResult: { required: [], members: { QueueUrl: 'string' } },
  ListDeadLetterSourceQueuesRequest: {
    required: ['QueueUrl'],
    members: { QueueUrl: 'string', NextToken: 'string', MaxResults: 'integer' }
  },
  ListDeadLetterSourceQueuesResult: {
    required: ['queueUrls'],
    members: { queueUrls: { list: 'string', name: 'QueueUrl' }, NextToken: 'string' }
  },
  ListMessageMoveTasksRequest: {
    required: ['SourceArn'],
    members: { SourceArn: 'string', MaxResults: 'integer' }
  },
  ListMessageMoveTasksResult: {
    required: [],
    members: { Results: { list: 'ListMessageMoveTasksResultEntry', name: 'ListMessageMoveTasksResultEntry' } }
  },
  ListMessageMoveTasksResultEntry: {
    required: [],
    members: {
      TaskHandle: 'string',
      Status: 'string',
      SourceArn: 'string',
      DestinationArn: 'string',
      MaxNumberOfMessagesPerSecond: 'integer',
      ApproximateNumberOfMessagesMoved: 'integer',
      ApproximateNumberOfMessagesToMove: 'integer',
      FailureReason: 'string',
      StartedTimestamp: 'integer'
    }
  },
  ListQueueTagsRequest: { required: ['QueueUrl'], members: { QueueUrl: 'string' } },
  ListQueueTagsResult: {
    required: [],
    members: { Tags: { map: 'string', name: 'Tag', key: 'Key', value: 'Value' } }
  },
  ListQueuesRequest: {
    required: [],
    members: { QueueNamePrefix: 'string', NextToken: 'string', MaxResults: 'integer' }
  },
  ListQueuesResult: {
    required: [],
    members: { QueueUrls: { list: 'string', name: 'QueueUrl' }, NextToken: 'string' }
  },
  Message: {
    required: [],
    members: {
      MessageId: 'string',
      ReceiptHandle: 'string',
      MD5OfBody: 'string',
      Body: 'string',
      Attributes: { map: 'string', name: 'Attribute', key: 'Name', value: 'Value' },
      MD5OfMessageAttributes: 'string',
      MessageAttributes: {
        map: 'MessageAttributeValue',
        name: 'MessageAttribute',
        key: 'Name',
        value: 'Value'
      }
    }
  },
  MessageAttributeValue: {
    required: ['DataType'],
    members: {
      DataType: 'string',
      StringValue: 'string',
      BinaryValue: 'blob',
      StringListValues: { list: 'string', name: 'StringListValue' },
      BinaryListValues: { list: 'blob', name: 'BinaryListValue' }
    }
  },
  MessageSystemAttributeValue: {
    required: ['DataType'],
    members: {
      DataType: 'string',
      StringValue: 'string',
      BinaryValue: 'blob',
      StringListValues: { list: 'string', name: 'StringListValue' },
      BinaryListValues: { list: 'blob', name: 'BinaryListValue' }
    }
  },
  PurgeQueueRequest: { required: ['QueueUrl'], members: { QueueUrl: 'string' } },
  ReceiveMessageRequest: {
    required: ['QueueUrl'],
    members: {
      QueueUrl: 'string',
      AttributeNames: { list: 'string', name: 'AttributeName' },
      MessageSystemAttributeNames: { list: 'string', name: 'AttributeName' },
      MessageAttributeNames: { list: 'string', name: 'MessageAttributeName' },
      MaxNumberOfMessages: 'integer',
      VisibilityTimeout: 'integer',
      WaitTimeSeconds: 'integer',
      ReceiveRequestAttemptId: 'string'
    }
  },
  ReceiveMessageResult: { required: [], members: { Messages: { list: 'Message', name: 'Message' } } },
  RemovePermissionRequest: {
    required: ['QueueUrl', 'Label'],
    members: { QueueUrl: 'string', Label: 'string' }
  },
  SendMessageBatchRequest: {
    required: ['QueueUrl', 'Entries'],
    members: {
      QueueUrl: 'string',
      Entries: { list: 'SendMessageBatchRequestEntry', name: 'SendMessageBatchRequestEntry' }
    }
  },
  SendMessageBatchRequestEntry: {
    required: ['Id', 'MessageBody'],
    members: {
      Id: 'string',
      MessageBody: 'string',
      DelaySeconds: 'integer',
      MessageAttributes: {
        map: 'MessageAttributeValue',
        name: 'MessageAttribute',
        key: 'Name',
        value: 'Value'
      },
      MessageSystemAttributes: {
        map: 'MessageSystemAttributeValue',
        name: 'MessageSystemAttribute',
        key: 'Name',
        value: 'Value'
      },
      MessageDeduplicationId: 'string',
      MessageGroupId: 'string'
    }
  },
  SendMessageBatchResult: {
    required: ['Successful', 'Failed'],
    members: {
      Successful: { list: 'SendMessageBatchResultEntry', name: 'SendMessageBatchResultEntry' },
      Failed: { list: 'BatchResultErrorEntry', name: 'BatchResultErrorEntry' }
    }
  },
  SendMessageBatchResultEntry: {
    required: ['Id', 'MessageId', 'MD5OfMessageBody'],
    members: {
      Id: 'string',
      MessageId: 'string',
      MD5OfMessageBody: 'string',
      MD5OfMessageAttributes: 'string',
      MD5OfMessageSystemAttributes: 'string',
      SequenceNumber: 'string'
    }
  },
  SendMessageRequest: {
    required: ['QueueUrl', 'MessageBody'],
    members: {
      QueueUrl: 'string',
      MessageBody: 'string',
      DelaySeconds: 'integer',
      MessageAttributes: {
        map: 'MessageAttributeValue',
        name: 'MessageAttribute',
        key: 'Name',
        value: 'Value'
      },
      MessageSystemAttributes: {
        map: 'MessageSystemAttributeValue',
        name: 'MessageSystemAttribute',
        key: 'Name',
        value: 'Value'
      },
      MessageDeduplicationId: 'string',
      MessageGroupId: 'string'
    }
  },
  SendMessageResult: {
    required: [],
    members: {
      MD5OfMessageBody: 'string',
      MD5OfMessageAttributes: 'string',
      MD5OfMessageSystemAttributes: 'string',
      MessageId: 'string',
      SequenceNumber: 'string'
    }
  },
  SetQueueAttributesRequest: {
    required: ['QueueUrl', 'Attributes'],
    members: {
      QueueUrl: 'string',
      Attributes: { map: 'string', name: 'Attribute', key: 'Name', value: 'Value' }
    }
  },
  StartMessageMoveTaskRequest: {
    required: ['SourceArn'],
    members: { SourceArn: 'string', DestinationArn: 'string', MaxNumberOfMessagesPerSecond: 'integer' }
  },
  StartMessageMoveTaskResult: { required: [], members: { TaskHandle: 'string' } },
  TagQueueRequest: {
    required: ['QueueUrl', 'Tags'],
    members: { QueueUrl: 'string', Tags: { map: 'string', name: 'Tag', key: 'Key', value: 'Value' } }
  },
  UntagQueueRequest: {
    required: ['QueueUrl', 'TagKeys'],
    members: { QueueUrl: 'string', TagKeys: { list: 'string', name: 'TagKey' } }
  }
} as const satisfies StructureTable

export const errors = {
  BatchEntryIdsNotDistinct: { legacy: 'AWS.SimpleQueueService.BatchEntryIdsNotDistinct', status: 400 },
  BatchRequestTooLong: { legacy: 'AWS.SimpleQueueService.BatchRequestTooLong', status: 400 },
  EmptyBatchRequest: { legacy: 'AWS.SimpleQueueService.EmptyBatchRequest', status: 400 },
  InvalidAddress: { legacy: 'InvalidAddress', status: 404 },
  InvalidAttributeName: { legacy: 'InvalidAttributeName', status: 400 },
  InvalidAttributeValue: { legacy: 'InvalidAttributeValue', status: 400 },
  InvalidBatchEntryId: { legacy: 'AWS.SimpleQueueService.InvalidBatchEntryId', status: 400 },
  InvalidIdFormat: { legacy: 'InvalidIdFormat', status: 400 },
  InvalidMessageContents: { legacy: 'InvalidMessageContents', status: 400 },
  InvalidSecurity: { legacy: 'InvalidSecurity', status: 403 },
  KmsAccessDenied: { legacy: 'KMS.AccessDeniedException', status: 400 },
  KmsDisabled: { legacy: 'KMS.DisabledException', status: 400 },
  KmsInvalidKeyUsage: { legacy: 'KMS.InvalidKeyUsageException', status: 400 },
  KmsInvalidState: { legacy: 'KMS.InvalidStateException', status: 400 },
  KmsNotFound: { legacy: 'KMS.NotFoundException', status: 400 },
  KmsOptInRequired: { legacy: 'KMS.OptInRequired', status: 403 },
  KmsThrottled: { legacy: 'KMS.ThrottlingException', status: 400 },
  MessageNotInflight: { legacy: 'AWS.SimpleQueueService.MessageNotInflight', status: 400 },
  OverLimit: { legacy: 'OverLimit', status: 403 },
  PurgeQueueInProgress: { legacy: 'AWS.SimpleQueueService.PurgeQueueInProgress', status: 403 },
  QueueDeletedRecently: { legacy: 'AWS.SimpleQueueService.QueueDeletedRecently', status: 400 },
  QueueDoesNotExist: { legacy: 'AWS.SimpleQueueService.NonExistentQueue', status: 400 },
  QueueNameExists: { legacy: 'QueueAlreadyExists', status: 400 },
  ReceiptHandleIsInvalid: { legacy: 'ReceiptHandleIsInvalid', status: 404 },
  RequestThrottled: { legacy: 'RequestThrottled', status: 403 },
  ResourceNotFoundException: { legacy: 'ResourceNotFoundException', status: 404 },
  TooManyEntriesInBatchRequest: {
    legacy: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
    status: 400
  },
  UnsupportedOperation: { legacy: 'AWS.SimpleQueueService.UnsupportedOperation', status: 400 }
} as const satisfies ErrorTable
