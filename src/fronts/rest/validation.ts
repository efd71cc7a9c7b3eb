/** Checks requests against their schemas. Bodies must fit exactly; elsewhere numbers are read from text. */
import { _, Ajv, str, type CodeKeywordDefinition, type ErrorObject } from 'ajv'
import { useFunc } from 'ajv/dist/compile/util.js'
import ucs2length from 'ajv/dist/runtime/ucs2length.js'
import formats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'

// Query and path arrive as text, so numbers in them are read. In a JSON body "30" is no number.
const shared = {
  strict: false,
  allErrors: false,
  removeAdditional: false,
  useDefaults: false,
  allowUnionTypes: true,
  verbose: true // errors hold their schema, for the names and the words in a refusal
} as const
const exact = new Ajv({ ...shared, coerceTypes: false, strictNumbers: true })
// With strictNumbers Ajv skips the bounds of an infinite number. Here such a number could be read
// from text.
const reading = new Ajv({ ...shared, coerceTypes: true, strictNumbers: false })

/**
 * As Ajv's own, which counts the characters of every text. That took most of the time of a request with
 * long headers. A text has at most as many characters as UTF-16 units, so almost none need counting.
 */
const maxLength: CodeKeywordDefinition = {
  keyword: 'maxLength',
  type: 'string',
  schemaType: 'number',
  error: {
    message: ({ schemaCode }) => str`must NOT have more than ${schemaCode} characters`,
    params: ({ schemaCode }) => _`{limit: ${schemaCode}}`
  },
  code(context) {
    const { gen, data, schemaCode } = context
    const count = useFunc(gen, ucs2length.default)
    context.fail(_`${data}.length > ${schemaCode} && ${count}(${data}) > ${schemaCode}`)
  }
}

for (const ajv of [exact, reading]) {
  formats.default(ajv)
  ajv.removeKeyword(maxLength.keyword as string).addKeyword(maxLength)
}

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
