/**
 * Names the shapes of the OpenAPI document, for the programs that are generated from it. The routes
 * keep their schemas whole, so that what checks and serializes is not touched.
 */

interface Shape {
  $ref?: string
  title?: string
  anyOf?: Shape[]
  required?: string[]
  properties?: Record<string, Shape>
  enum?: unknown[]
}

const place = '#/components/schemas/'

/**
 * Moves each schema that has a title to the components, under that title. A choice whose members are
 * told apart by one field becomes a `oneOf` with a discriminator. Throws where two schemas differ and
 * have one title.
 */
export function nameShapes(document: { paths?: object; components?: { schemas?: object } }): void {
  const schemas = {} as Record<string, Shape>
  document.paths = moved(document.paths, schemas) as object
  moved(Object.values(document.components?.schemas ?? {}), schemas)
  document.components = { ...document.components, schemas }
}

function moved(node: unknown, schemas: Record<string, Shape>): unknown {
  if (Array.isArray(node)) return node.map(each => moved(each, schemas))
  if (typeof node !== 'object' || node === null) return node
  const entries = Object.entries(node).map(([name, value]) => [
    name,
    /^examples?$/.test(name) ? value : moved(value, schemas)
  ])
  const shape: Shape = withDiscriminator(Object.fromEntries(entries), schemas)
  if (typeof shape.title !== 'string') return shape
  const { title, ...rest } = shape
  const known = schemas[title]
  if (known !== undefined && JSON.stringify(known) !== JSON.stringify(rest)) {
    throw new Error(`Two schemas of the contract have the title ${title}, and differ. Give each its own.`)
  }
  schemas[title] = rest
  return { $ref: `${place}${title}` }
}

function withDiscriminator(shape: Shape, schemas: Record<string, Shape>): Shape {
  const { anyOf, ...rest } = shape
  if (anyOf === undefined || !anyOf.every(({ $ref }) => $ref !== undefined)) return shape
  const members = anyOf.map(({ $ref }) => schemas[$ref!.slice(place.length)]!)
  const propertyName = Object.keys(members[0]!.properties ?? {}).find(name =>
    members.every(
      ({ properties, required }) => required?.includes(name) && properties?.[name]?.enum?.length === 1
    )
  )
  if (propertyName === undefined) return shape
  const mapping = Object.fromEntries(
    members.map(({ properties }, index) => [properties![propertyName]!.enum![0], anyOf[index]!.$ref])
  )
  return { ...rest, oneOf: anyOf, discriminator: { propertyName, mapping } } as Shape
}
