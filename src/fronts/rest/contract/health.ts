/** Operations for those who run the service: alive, ready, metrics. */
import { Type, type TString } from 'typebox'
import { operations, problemResponses } from './operation.ts'

const Status = Type.Object({ status: Type.Literal('ok') }, { description: 'Yes.' })

export const healthOperations = operations({
  livez: {
    method: 'GET',
    url: '/livez',
    config: { access: 'anyone', probe: true, always: true },
    schema: {
      summary: 'Alive?',
      description: 'Answers while the process does. It never asks the database.',
      response: { 200: Status }
    }
  },
  readyz: {
    method: 'GET',
    url: '/readyz',
    config: { access: 'anyone', probe: true },
    schema: {
      summary: 'Able to serve?',
      description: '503 while the database is away or the service is shutting down.',
      response: { 200: Status, 503: problemResponses(503)[503] }
    }
  },
  metrics: {
    method: 'GET',
    url: '/metrics',
    config: { access: 'metrics' },
    schema: {
      summary: 'Metrics',
      description:
        'In the text format of Prometheus. ' +
        'Where keys are in force this takes a key with the right `browse:*`, unless it is open to all.',
      response: {
        200: { description: 'The metrics.', content: { 'text/plain': { schema: Type.String() } } },
        ...problemResponses()
      } as object as { 200: TString }
    }
  }
})
