/** Requests to endpoints: one POST, and what came of it. */
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import { isIP, type Socket } from 'node:net'
import { urlToHttpOptions } from 'node:url'
import { pushAnswerBytesMax } from '../../core/limits.ts'
import { AddressRefused, type Addresses } from './addresses.ts'

/** What an endpoint has answered. `text` is the beginning of its body. */
export interface Answer {
  status: number
  retryAfter: string | undefined
  text: string
}

/** The endpoint gave no answer. */
export interface NoAnswer {
  status: null
  /** Nothing of the request has reached it, so the message cannot be the cause. */
  unreached: boolean
  timedOut: boolean
  reason: string
}

export interface Post {
  url: URL
  headers: OutgoingHttpHeaders
  body: Buffer | string
  timeoutSeconds: number
  signal: AbortSignal
}

/** So long a connection waits for its next request. Many endpoints close it after five seconds. */
const restMs = 4000
const restingMax = 1000
/** Answers of 1xx before the final one. Each costs the time of others, and means nothing here. */
const announcedMax = 10

/** What the codes of Node mean for people. Addresses of the network stay here. */
const unreachedReasons: Record<string, string> = {
  ECONNREFUSED: 'The connection was refused',
  ENOTFOUND: 'The host name is not known',
  EAI_AGAIN: 'The host name cannot be resolved just now',
  EHOSTUNREACH: 'The host cannot be reached',
  ENETUNREACH: 'The network of the host cannot be reached',
  ETIMEDOUT: 'The host did not take the connection',
  HOLDFAST_TOO_MANY_ANNOUNCED: `More than ${announcedMax} answers of 1xx came before the final one`,
  HOLDFAST_ADDRESS_REFUSED:
    'The host is not on the public internet. Others are reached with HOLDFAST_PUSH_PRIVATE=on only'
}

class TooManyAnnounced extends Error {
  readonly code = 'HOLDFAST_TOO_MANY_ANNOUNCED'
}

/** The host of a URL, as a socket takes it. */
export const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '')

/** Connections to endpoints, kept alive, and only to addresses that may be reached. */
export class Endpoints {
  readonly #addresses: Addresses
  readonly #agents: { 'http:': http.Agent; 'https:': https.Agent }

  constructor(addresses: Addresses) {
    this.#addresses = addresses
    const options = {
      keepAlive: true,
      timeout: restMs,
      maxFreeSockets: restingMax,
      lookup: addresses.lookup
    }
    this.#agents = { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }
  }

  /** Sends one request. Never throws, and ends within its time. Redirects are answers like any other. */
  async post(post: Post): Promise<Answer | NoAnswer> {
    const host = hostOf(post.url)
    // A socket asks no resolver about these.
    if (isIP(host) > 0 && !this.#addresses.mayReach(host)) return refused()
    const untilMs = performance.now() + post.timeoutSeconds * 1000
    const answer = await this.#send(post, untilMs)
    // A connection that had waited was closed from the other side at the same moment.
    return answer === 'stale' ? ((await this.#send(post, untilMs, true)) as Answer | NoAnswer) : answer
  }

  /** Closes the connections that wait. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  #send(
    { url, headers, body, timeoutSeconds, signal }: Post,
    untilMs: number,
    fresh = false
  ): Promise<Answer | NoAnswer | 'stale'> {
    return new Promise(resolve => {
      const isHttps = url.protocol === 'https:'
      const request = (isHttps ? https : http).request({
        ...urlToHttpOptions(url),
        method: 'POST',
        headers,
        agent: fresh ? false : this.#agents[isHttps ? 'https:' : 'http:'],
        lookup: this.#addresses.lookup
      })
      let connected = false
      const end = (answer: Answer | NoAnswer | 'stale') => {
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
        resolve(answer)
      }
      const timer = setTimeout(
        () => {
          end(noAnswer(`No answer within ${timeoutSeconds} s`, !connected, true))
          request.destroy()
        },
        Math.max(0, untilMs - performance.now())
      )
      const stop = () => request.destroy(new Error('stopped'))
      signal.addEventListener('abort', stop)
      request.once('socket', socket => {
        this.#watch(request, socket, isHttps, () => {
          connected = true
        })
      })
      let announced = 0
      request.on('information', () => {
        announced++
        if (announced > announcedMax) request.destroy(new TooManyAnnounced())
      })
      request.once('response', response => {
        clearTimeout(timer)
        readAnswer(response, untilMs, end)
      })
      // Without a listener, Node would close the connection and tell nobody.
      request.once('upgrade', (response, socket) => {
        socket.destroy()
        end({ status: response.statusCode!, retryAfter: undefined, text: '' })
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        const isStale = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '')
        end(isStale && !fresh ? 'stale' : failureOf(error, connected))
      })
      request.end(body)
    })
  }

  // The look-up has checked where the socket goes. This holds even if that were passed by.
  #watch(request: ClientRequest, socket: Socket, isHttps: boolean, onConnected: () => void): void {
    if (!socket.connecting) return onConnected()
    socket.once('connect', () => {
      if (!this.#addresses.mayReach(socket.remoteAddress ?? '')) request.destroy(new AddressRefused())
    })
    socket.once(isHttps ? 'secureConnect' : 'connect', onConnected)
  }
}

/**
 * Reads the beginning of an answer. Once there is a status, the answer counts, whatever becomes of
 * its body.
 */
function readAnswer(response: IncomingMessage, untilMs: number, end: (answer: Answer) => void): void {
  const chunks: Buffer[] = []
  let bytes = 0
  const finish = () => {
    clearTimeout(timer)
    const retryAfter = response.headers['retry-after']
    end({ status: response.statusCode!, retryAfter, text: Buffer.concat(chunks).toString() })
  }
  const cut = () => {
    finish()
    response.destroy()
  }
  const timer = setTimeout(cut, Math.max(0, untilMs - performance.now()))
  response.on('data', (chunk: Buffer) => {
    const room = pushAnswerBytesMax - bytes
    bytes += chunk.length
    chunks.push(chunk.subarray(0, room))
    if (bytes > pushAnswerBytesMax) cut()
  })
  response.once('end', finish)
  response.once('error', finish)
  response.once('close', finish)
}

const noAnswer = (reason: string, unreached: boolean, timedOut = false): NoAnswer => ({
  status: null,
  unreached,
  timedOut,
  reason
})

const refused = () => noAnswer(unreachedReasons.HOLDFAST_ADDRESS_REFUSED!, true)

function failureOf({ code = '' }: NodeJS.ErrnoException, connected: boolean): NoAnswer {
  const known = unreachedReasons[code]
  if (known !== undefined) return noAnswer(known, !connected || code === 'HOLDFAST_ADDRESS_REFUSED')
  const detail = /^[A-Z][A-Z0-9_]+$/.test(code) ? ` (${code})` : ''
  return connected
    ? noAnswer(`The connection broke before an answer${detail}`, false)
    : noAnswer(`No connection could be made${detail}`, true)
}
