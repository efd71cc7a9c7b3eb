/** Large answers: piece by piece, so that other callers are served in between. */
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { listPieces, sendJson } from '../../../src/fronts/rest/sendJson.ts'
import { Answers } from '../../../src/fronts/shared/heldBytes.ts'
import { ReadingPace } from '../../../src/fronts/shared/readingPace.ts'
import { callerNamed, shareOf } from '../../support/callers.ts'

const mib = 1024 * 1024

/** What a caller gets of these pieces, and the most that was written in one turn of the event loop. */
async function answerOf(t: Test, pieces: string[]) {
  const app = Fastify()
  t.teardown(() => app.close())
  const caller = callerNamed('reader')
  app.decorateRequest('caller', { getter: () => caller })
  const share = shareOf(64 * mib)
  let [mostBytes, heldAtFirst, heldBytes] = [0, 0, 0]
  const watch = (socket: Socket, before = socket.bytesWritten) => {
    mostBytes = Math.max(mostBytes, socket.bytesWritten - before)
    const { bytesWritten } = socket
    if (!socket.destroyed) setImmediate(() => watch(socket, bytesWritten))
  }
  app.addHook('onSend', async () => {
    heldBytes = share.held
  })
  app.get('/', (request, reply) => {
    watch(request.raw.socket)
    const sending = sendJson(reply, pieces, new Answers(share, new ReadingPace()))
    heldAtFirst = share.held
    return sending
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const response = await new Promise<http.IncomingMessage>((resolve, reject) =>
    http.get({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject)
  )
  let text = ''
  for await (const piece of response.setEncoding('utf8')) text += piece
  return { text, length: Number(response.headers['content-length']), mostBytes, heldAtFirst, heldBytes }
}

t.test('of a large answer, at most one message or 256 KiB are written in one turn', async t => {
  const items = [
    ...Array(6).fill(JSON.stringify('a'.repeat(mib))),
    ...Array(3000).fill(JSON.stringify('ü€😀'.repeat(99)))
  ]
  const { text, length, mostBytes, heldAtFirst, heldBytes } = await answerOf(
    t,
    listPieces('messages', items, ',"cursor":null')
  )
  t.equal(text, `{"messages":[${items.join(',')}],"cursor":null}`)
  t.equal(length, Buffer.byteLength(text))
  t.ok(mostBytes < 1.5 * mib, `${mostBytes} bytes`)
  t.equal(heldAtFirst, text.length, 'its characters are held at once')
  t.equal(heldBytes, length, 'its bytes are held when it is written')
})

t.test('a small answer is written at once', async t => {
  const { text, length } = await answerOf(t, listPieces('messages', [], ''))
  t.equal(text, '{"messages":[]}')
  t.equal(length, text.length)
})
