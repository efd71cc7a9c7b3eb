/** Sends answers that are JSON text already. */
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Caller } from '../../core/caller.ts'
import { inTurn, oneByOne } from '../../core/engine/oneByOne.ts'
import { isCounted, type Answers } from '../shared/heldBytes.ts'
import { cursorTo } from './cursors.ts'

/** Sending a text of this length takes about a millisecond. */
const largeChars = 256 * 1024

/** An object with a list, in pieces of text. `rest` has its other members, each after a comma. */
export function listPieces(name: string, items: string[], rest: string): string[] {
  if (items.length === 0) return [`{"${name}":[]${rest}}`]
  const pieces = items.map((item, index) => (index === 0 ? `{"${name}":[${item}` : `,${item}`))
  pieces.push(`]${rest}}`)
  return pieces
}

/**
 * Sends a page of a list. `next` is the place where the next page begins; null at the end. Refuses with
 * shareUsedUp or overloaded where the caller has too many unread answers.
 */
export function sendPage(
  reply: FastifyReply,
  name: string,
  items: string[],
  next: string | null,
  answers: Answers
): FastifyReply | Promise<FastifyReply> {
  const refusal = answers.refusal(reply.request.caller)
  if (refusal !== null) throw refusal
  return sendJson(reply, listPieces(name, items, `,"cursor":${JSON.stringify(cursorTo(next))}`), answers)
}

/** Sends the pieces as they are, because a serializer would read a body and write it anew. */
export function sendJson(
  reply: FastifyReply,
  pieces: string[],
  answers: Answers
): FastifyReply | Promise<FastifyReply> {
  const { caller } = reply.request
  const chars = pieces.reduce((sum, { length }) => sum + length, 0)
  reply.type('application/json; charset=utf-8').serializer((payload: string) => payload)
  if (chars >= largeChars) {
    const countMore = answers.send(reply.raw, caller, chars)
    return sendLarge(reply, pieces, countMore)
  }
  const text = pieces.join('')
  answers.send(reply.raw, caller, isCounted(chars) ? Buffer.byteLength(text) : chars)
  return reply.send(text)
}

/**
 * Encodes and writes a large answer piece by piece, so that other calls are served in between. As one
 * text, an answer of 8 MiB would be copied three times, which takes up to 150 ms. Its characters are counted
 * already, and `countMore` counts the bytes beyond them, since counting bytes takes as long as encoding.
 */
async function sendLarge(
  reply: FastifyReply,
  pieces: string[],
  countMore: (bytes: number) => void
): Promise<FastifyReply> {
  const { caller } = reply.request
  const encoded: Buffer[] = []
  for (const text of joined(pieces)) {
    const piece = await inTurn(caller, () => Buffer.from(text))
    encoded.push(piece)
    countMore(piece.length - text.length)
  }
  const bytes = encoded.reduce((sum, { length }) => sum + length, 0)
  return reply.header('content-length', bytes).send(new InTurns(encoded, caller))
}

/** The same text in fewer pieces: small ones are joined. */
function* joined(pieces: string[]): Generator<string> {
  let text = ''
  for (const piece of pieces) {
    text += piece
    if (text.length < largeChars) continue
    yield text
    text = ''
  }
  if (text !== '') yield text
}

/** Each piece is read when it is its turn. */
class InTurns extends Readable {
  readonly #pieces: Iterator<Buffer>
  readonly #caller: Caller

  constructor(pieces: Buffer[], caller: Caller) {
    super()
    this.#pieces = pieces.values()
    this.#caller = caller
  }

  override _read(): void {
    oneByOne(this.#caller, () => {
      if (!this.destroyed) this.push(this.#pieces.next().value ?? null)
    })
  }
}
