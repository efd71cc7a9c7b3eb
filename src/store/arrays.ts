/**
 * Array parameters in PostgreSQL's binary format: a body inside needs no escaping here and no
 * parsing there.
 */

/** PostgreSQL's numbers of the types of elements. */
const types = { bool: 16, int2: 21, int4: 23, text: 25, jsonb: 3802 }

// What array_recv in src/backend/utils/adt/arrayfuncs.c reads: dimensions, whether there may be
// nulls, type; then of the one dimension its length and its first index, four bytes each.
const headBytes = 20
/** Before each element stands its length; null has the length -1 and nothing else. */
const lengthBytes = 4

/** A boolean[]. */
export function booleanArray(values: boolean[]): Buffer {
  const elementBytes = lengthBytes + 1
  const bytes = begin(types.bool, values.length, values.length * elementBytes)
  values.forEach((value, index) => {
    const at = bytes.writeInt32BE(1, headBytes + index * elementBytes)
    bytes.writeUInt8(Number(value), at)
  })
  return bytes
}

/** A smallint[]. */
export function int2Array(values: number[]): Buffer {
  const elementBytes = lengthBytes + 2
  const bytes = begin(types.int2, values.length, values.length * elementBytes)
  values.forEach((value, index) => {
    const at = bytes.writeInt32BE(2, headBytes + index * elementBytes)
    bytes.writeInt16BE(value, at)
  })
  return bytes
}

/** An integer[]. */
export function int4Array(values: number[]): Buffer {
  const elementBytes = lengthBytes + 4
  const bytes = begin(types.int4, values.length, values.length * elementBytes)
  values.forEach((value, index) => {
    const at = bytes.writeInt32BE(4, headBytes + index * elementBytes)
    bytes.writeInt32BE(value, at)
  })
  return bytes
}

/** A text[], with nulls. */
export function textArray(values: (string | null)[]): Buffer {
  return strings(types.text, values)
}

/** A jsonb[], with nulls, from JSON texts. The format has a version number, 1, before each. */
export function jsonbArray(values: (string | null)[]): Buffer {
  return strings(
    types.jsonb,
    values.map(value => (value === null ? null : `\u0001${value}`))
  )
}

function strings(type: number, values: (string | null)[]): Buffer {
  const sizes = values.map(value => (value === null ? -1 : Buffer.byteLength(value)))
  const bytes = begin(
    type,
    values.length,
    sizes.reduce((sum, size) => sum + lengthBytes + Math.max(0, size), 0)
  )
  let at = headBytes
  values.forEach((value, index) => {
    at = bytes.writeInt32BE(sizes[index]!, at)
    if (value !== null) at += bytes.write(value, at)
  })
  return bytes
}

function begin(type: number, count: number, elementsBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + elementsBytes)
  const head = [1, 1, type, count, 1]
  head.forEach((value, index) => bytes.writeInt32BE(value, index * 4))
  return bytes
}
