/** Operations for those who run the service: alive, ready, metrics. */
import { Type, type TString } from 'typebox'
import { operations, problemResponses } from './operation.ts'

const Status = Type.Object({ status: Type.Literal('ok') }, { description: 'The probe succeeds.' })

export const healthOperations = operations({
  livez: {
    method: 'GET',
    url: '/livez',
    config: { access: 'anyone', probe: true, always: true },
    schema: {
      summary: 'Liveness probe',
      description: 'Answers 200 while the process answers at all. The probe never asks the database.',
      response: { 200: Status }
    }
  },
  readyz: {
    method: 'GET',
    url: '/readyz',
    config: { access: 'anyone', probe: true },
    schema: {
      summary: 'Readiness probe',
      description:
        'Answers 503 while the database is away or takes no writes, and while the service is shutting down.',
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
        'All metrics of the replica, in the text format of Prometheus. ' +
        'Once an API key exists, the call needs the right `browse:*`, unless HOLDFAST_OPEN names metrics.',
      response: {
        200: { description: 'The metrics.', content: { 'text/plain': { schema: Type.String() } } },
        ...problemResponses()
      } as object as { 200: TString }
    }
  }
})
