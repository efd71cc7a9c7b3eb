/**
 * Array parameters in PostgreSQL's binary format: a body inside needs no escaping here and no
 * parsing there.
 */

const int2 = 21
const int4 = 23
const text = 25
const jsonb = 3802

export function int2Array(values: number[]): Buffer {
  const bytes = begin(int2, values.length, values.length * 6)
  values.forEach((value, index) => bytes.writeInt16BE(value, bytes.writeInt32BE(2, 20 + index * 6)))
  return bytes
}

export function int4Array(values: number[]): Buffer {
  const bytes = begin(int4, values.length, values.length * 8)
  values.forEach((value, index) => bytes.writeInt32BE(value, bytes.writeInt32BE(4, 20 + index * 8)))
  return bytes
}

export function textArray(values: (string | null)[]): Buffer {
  return strings(text, values)
}

/** Values are JSON texts; the format has a version number, 1, before each. */
export function jsonbArray(values: (string | null)[]): Buffer {
  return strings(
    jsonb,
    values.map(value => (value === null ? null : `\u0001${value}`))
  )
}

function strings(type: number, values: (string | null)[]): Buffer {
  const sizes = values.map(value => (value === null ? -1 : Buffer.byteLength(value)))
  const bytes = begin(
    type,
    values.length,
    sizes.reduce((sum, size) => sum + 4 + Math.max(0, size), 0)
  )
  let at = 20
  values.forEach((value, index) => {
    at = bytes.writeInt32BE(sizes[index]!, at)
    if (value !== null) at += bytes.write(value, at)
  })
  return bytes
}

// One dimension that begins at 1; source: array_recv in src/backend/utils/adt/arrayfuncs.c.
function begin(type: number, count: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(20 + size)
  bytes.writeInt32BE(1, 0)
  bytes.writeInt32BE(1, 4) // may hold nulls
  bytes.writeInt32BE(type, 8)
  bytes.writeInt32BE(count, 12)
  bytes.writeInt32BE(1, 16)
  return bytes
}
