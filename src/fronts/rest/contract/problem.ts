/** The shape of every refusal: RFC 9457. */
import { Type } from 'typebox'
import { writeOutcomes } from '../../../core/errors.ts'
import { maybe } from './shapes.ts'

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'From a closed list; docs/errors.md has a heading for each.' }),
    requestId: Type.String(),
    errors: maybe(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
    outcome: maybe(
      Type.Enum([...writeOutcomes], { description: 'On every 5xx: nothing happened, or it is not known.' })
    )
  },
  { $id: 'Problem', title: 'Problem' }
)
