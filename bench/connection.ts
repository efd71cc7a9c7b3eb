/** HTTP for the load generator: keep-alive connections on raw sockets, one request at a time. */
import net from 'node:net'

/** All sockets read into one buffer. */
const buffer = Buffer.allocUnsafeSlow(1 << 20)

/** Gets the status and the whole answer with its head. The status is 0 if the connection broke. */
type OnAnswer = (status: number, answer: string) => void

/** One keep-alive connection with at most one request under way. */
export class Connection {
  readonly #socket: net.Socket
  #onAnswer: OnAnswer | null = null
  #text = ''
  #length = -1

  constructor(port: number) {
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer, callback: bytes => this.#read(bytes) }
    })
    this.#socket.on('error', error => this.#end(0, error.message))
    this.#socket.on('close', () => this.#end(0, 'connection closed'))
  }

  ask(request: string, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#onAnswer = null
    this.#socket.destroy()
  }

  #end(status: number, answer: string): void {
    const onAnswer = this.#onAnswer
    this.#onAnswer = null
    onAnswer?.(status, answer)
  }

  #read(bytes: number): boolean {
    const read = buffer.toString('latin1', 0, bytes)
    this.#text = this.#text === '' ? read : this.#text + read
    if (this.#length < 0) this.#length = lengthOf(this.#text)
    if (this.#length < 0 || this.#text.length < this.#length) return true
    const text = this.#text
    this.#text = ''
    this.#length = -1
    this.#end(statusOf(text), text)
    return true
  }
}

/** Length of the whole answer, or -1 while its head is not complete. */
function lengthOf(text: string): number {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return -1
  const field = text.indexOf('content-length: ')
  const bodyLength = field < 0 || field > headEnd ? 0 : parseInt(text.slice(field + 16, field + 28), 10)
  return headEnd + 4 + bodyLength
}

/** The three digits after `HTTP/1.1 `. */
function statusOf(text: string): number {
  return (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 + text.charCodeAt(11) - 48
}
