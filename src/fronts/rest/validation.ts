/** Checks requests against their schemas. Bodies must fit exactly; elsewhere numbers are read from text. */
import { Ajv, type ErrorObject } from 'ajv'
import formats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'

// Query and path arrive as text, so numbers in them are read. In a JSON body "30" is no number.
const shared = {
  strict: false,
  allErrors: false,
  removeAdditional: false,
  useDefaults: false,
  allowUnionTypes: true
} as const
const exact = new Ajv({ ...shared, coerceTypes: false, strictNumbers: true })
// With strictNumbers Ajv skips the bounds of an infinite number. Here such a number could be read
// from text.
const reading = new Ajv({ ...shared, coerceTypes: true, strictNumbers: false })
for (const ajv of [exact, reading]) formats.default(ajv)

/** The validator compiler of every route. */
export const compileValidator: FastifySchemaCompiler<any> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? exact : reading).compile(schema)

/** The validator compiler of a route that checks its body itself. */
export const uncheckedBody: FastifySchemaCompiler<any> = route =>
  route.httpPart === 'body' ? () => true : compileValidator(route)

/** Checks a body against a schema that the handler chooses. Throws what a route's own schema would throw. */
export function validator<T>(schema: object): (body: unknown) => T {
  const validate = exact.compile(schema)
  return body => {
    if (validate(body)) return body as T
    throw Object.assign(new Error('invalid body'), {
      validation: validate.errors as ErrorObject[],
      validationContext: 'body'
    })
  }
}
