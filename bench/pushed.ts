/** The step `push`: the load generator is the endpoint, which answers at once. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Caller, Slice } from './slice.ts'

/** Without a request for so long, the queue has run dry, or all that was leased has been acked. */
const silentMs = 500

/** Has the queue delivered to this process, and counts each request. Its first caller sets that up. */
export function pushed(slice: Slice): Caller {
  const { dialect } = slice
  let lastMs = performance.now()
  const server = createServer((request, response) => {
    lastMs = performance.now()
    request.resume()
    response.end()
    slice.confirmed(1)
  })
  return connection => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      slice.ask(connection, dialect.push(`http://127.0.0.1:${port}/`), () => {
        const watch = setInterval(() => {
          if (!slice.ending) {
            if (performance.now() > lastMs + silentMs) slice.result.empty++
            return
          }
          clearInterval(watch)
          slice.ask(connection, dialect.endPush(), function untilSilent() {
            if (performance.now() > lastMs + silentMs) slice.callerEnds()
            else setTimeout(untilSilent, silentMs)
          })
        }, silentMs)
      })
    })
  }
}
