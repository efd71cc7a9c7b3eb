/** Answers of cells. Whatever else is at a cell's address, such as a page of errors, gives none. */

export interface CellAnswer {
  cell: string
  status: number
  headers: Headers
  text: string
  /** What the text says. undefined: no JSON was expected. */
  json: unknown
}

/** Of one answer. A page of 1,000 queues has some 1 MB, and 20 MB if each has 50 tags of full length. */
const answerBytesMax = 33_554_432

/** No service of Holdfast gives such an answer. The message says what it is. */
export class StrangeAnswer extends Error {}
/** It is larger than the desk takes. */
export class LargeAnswer extends Error {}

/** What a caller expects of an answer. */
export interface Expected {
  /** What a good answer is. Default: JSON. Where a refusal is expected, none is good. */
  expects?: 'metrics' | 'refusal'
  /** Throws StrangeAnswer where the JSON of a 200 is not what was asked for. */
  check?: (answer: CellAnswer) => void
  /** Hears of the bytes of an answer as they come. What it throws ends the call. */
  countAnswer?: (bytes: number) => void
}

/** Reads the whole answer. Throws StrangeAnswer, LargeAnswer, and what `check` and `countAnswer` throw. */
export async function readAnswer(
  cell: string,
  response: Response,
  { expects, check, countAnswer }: Expected
): Promise<CellAnswer> {
  const { status, headers } = response
  const isGood = status >= 200 && status < 300
  if (isGood ? expects === 'refusal' : status < 400) {
    await response.body?.cancel()
    throw new StrangeAnswer(`the status ${status}`)
  }
  const text = await textOf(response, countAnswer)
  const answer = { cell, status, headers, text }
  if (isGood && expects === 'metrics') {
    if (/^# TYPE holdfast_/m.test(text)) return { ...answer, json: undefined }
    throw new StrangeAnswer('a page without metrics of Holdfast')
  }
  if (status === 204) return { ...answer, json: undefined }
  const json = objectIn(text)
  // Each refusal of Holdfast has a code, and another server's 404 must not count as one.
  if (json !== null && (isGood || typeof json.code === 'string')) {
    if (status === 200) check?.({ ...answer, json })
    return { ...answer, json }
  }
  throw new StrangeAnswer(`${status} with a text of its own`)
}

/** Whether the cell has begun to tell events. */
export const isEventStream = ({ status, headers }: Response): boolean =>
  status === 200 && headers.get('content-type')?.startsWith('text/event-stream') === true

async function textOf({ body }: Response, count: Expected['countAnswer']): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > answerBytesMax) throw new LargeAnswer(`more than ${answerBytesMax} bytes`)
    count?.(chunk.length)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function objectIn(text: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/** The entries of a list in a good answer. Throws StrangeAnswer where one lacks a text of these names. */
export function entriesIn<Entry>(
  { json }: CellAnswer,
  list: string,
  texts: (keyof Entry & string)[]
): Entry[] {
  const entries = (json as Record<string, unknown>)[list]
  const isEntry = (entry: Record<string, unknown> | null) =>
    texts.every(name => typeof entry?.[name] === 'string')
  if (Array.isArray(entries) && entries.every(isEntry)) return entries
  throw new StrangeAnswer(`no list of ${list}`)
}
