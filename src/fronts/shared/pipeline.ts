/**
 * Requests that one connection sends before earlier ones are answered (pipelining). A few of them
 * are at work, and the rest wait their turn. A connection that sends too many ahead is closed.
 *
 * A request that comes alone, as almost all do, costs nothing: Node gives its response the socket at
 * once.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Caller } from '../../core/caller.ts'
import type { Share } from '../../core/engine/share.ts'
import { connectionRequestsMax, requestsAheadMax } from '../../core/limits.ts'

/** Behind the request that is answered first. */
const behindMax = connectionRequestsMax - 1
/** What a request that waits holds beside its header fields. */
const requestBytes = 4096
/** Each request at work may listen for the end of its connection. */
const listenersMax = 10 + 2 * connectionRequestsMax

/** A response, with the mark of one that is closed. */
type Response = ServerResponse & { _closed?: boolean }

interface Line {
  /** Of all requests sent ahead that are not answered yet, the refused ones too. */
  responses: Set<Response>
  working: number
  waiting: (() => void)[]
}

const lines = new WeakMap<Socket, Line>()

/**
 * Closes connections that send too many requests ahead, or more than the caller's share of what all
 * may send ahead. The others come to the server's listeners when it is their turn. Call it when these
 * listeners have been added.
 */
export function boundPipelines(server: Server, share: Share, callerOf: (socket: Socket) => Caller): void {
  const listeners = server.listeners('request')
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: Response) => {
    const start = () => listeners.forEach(listener => listener.call(server, request, response))
    if (response.socket !== null) return start()
    const { socket, url, rawHeaders } = request
    // The parser goes on to the end of what it was given, also when the connection is closed.
    if (socket.destroyed) return
    const line = lineOf(socket)
    const caller = callerOf(socket)
    const bytes = rawHeaders.reduce((sum, text) => sum + text.length, requestBytes + url!.length)
    const refusal = share.refusal(caller, bytes)
    if (refusal !== null || line.responses.size + 1 >= requestsAheadMax) {
      socket.destroy()
      return
    }
    share.hold(caller, bytes)
    line.responses.add(response)
    response.once('close', () => {
      line.responses.delete(response)
      share.give(caller, bytes)
    })
    line.waiting.push(() => {
      line.working++
      response.once('close', () => {
        line.working--
        plan(line)
      })
      start()
    })
    plan(line)
  })
}

/**
 * Lines with a request that may begin. One begins in each turn of the event loop, and lines take turns. So
 * callers that send one request at a time are served between two of them.
 */
const ready = new Set<Line>()

const mayBegin = ({ working, waiting }: Line) => working < behindMax && waiting.length > 0

function plan(line: Line): void {
  if (!mayBegin(line)) return
  if (ready.size === 0) setImmediate(beginNext)
  ready.add(line)
}

function beginNext(): void {
  const [line] = ready
  try {
    line!.waiting.shift()?.()
  } finally {
    // Behind the others.
    ready.delete(line!)
    if (mayBegin(line!)) ready.add(line!)
    if (ready.size > 0) setImmediate(beginNext)
  }
}

function lineOf(socket: Socket): Line {
  let line = lines.get(socket)
  if (line === undefined) {
    const made: Line = { responses: new Set(), working: 0, waiting: [] }
    lines.set(socket, (line = made))
    socket.setMaxListeners(listenersMax)
    socket.once('close', () => close(made))
  }
  return line
}

// Node closes the response that has the socket. Those behind it would never hear that their caller
// has gone.
function close({ responses, waiting }: Line): void {
  waiting.length = 0
  for (const response of responses) {
    if (response._closed) continue
    response.destroyed = true
    response._closed = true
    response.emit('close')
  }
}
