/** The shape of every refusal: RFC 9457. */
import { Type } from 'typebox'
import { codes, writeOutcomes } from '../../../core/errors.ts'
import { maybe } from './shapes.ts'

/** The names of refusals. */
export const ErrorCode = Type.Enum([...codes], {
  type: 'string',
  title: 'ErrorCode',
  description: 'What to act on. docs/errors.md has a heading for each. A later release may add some.'
})

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: ErrorCode,
    requestId: Type.String(),
    errors: maybe(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
    outcome: maybe(
      Type.Enum([...writeOutcomes], { description: 'On every 5xx: nothing happened, or it is not known.' })
    )
  },
  { $id: 'Problem', title: 'Problem' }
)
