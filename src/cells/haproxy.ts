/** The configuration of HAProxy that places calls, and the map that it reads. */
import { waitSecondsMax } from '../core/limits.ts'
import type { Placement } from '../core/placement.ts'

/**
 * The map, for `map_beg`: the longest line that a key begins with counts. A key is the name of a
 * queue, a slash, and `enqueue` where the call enqueues. No name holds a slash.
 */
export function mapOf({ file: { prefixes, queues, moving } }: Placement): string {
  const lines = [
    ...Object.entries(prefixes).filter(([prefix]) => prefix !== ''),
    ...Object.entries(queues).map(([queue, cell]) => [`${queue}/`, cell]),
    ...Object.entries(moving).map(([queue, { to }]) => [`${queue}/enqueue`, to])
  ]
  return lines.map(([key, cell]) => `${key} ${cell}\n`).join('')
}

/** A call may wait for a message that long, and its answer takes some time too. */
const silentSecondsMax = waitSecondsMax + 30

interface ConfigOptions {
  /** Where the map is. */
  mapFile: string
  /** The address on which HAProxy serves. */
  bind: string
  /** Where holdfast cells desk serves. */
  desks: string[]
}

/** The whole configuration. It changes only with the cells and their replicas. */
export function configOf(placement: Placement, { mapFile, bind, desks }: ConfigOptions): string {
  const { cells } = placement.file
  return `# Written by holdfast cells config. The map beside it says which queue is where.
defaults
    mode http
    # Only calls that never reached a replica are sent again.
    retries 2
    retry-on conn-failure
    option redispatch
    timeout connect 1s
    # A replica that is busy for a second is not away.
    timeout check 3s
    timeout http-request 35s
    timeout http-keep-alive 30s
    # Longer than any call waits for a message.
    timeout client ${silentSecondsMax}s
    timeout server ${silentSecondsMax}s
    default-server check inter 1s fastinter 250ms fall 2 rise 1

frontend holdfast
    bind ${bind}
    # The name is decoded: %61 and a are one letter to the service too.
    http-request set-var(txn.name) path,field(3,/),url_dec
    http-request set-var(txn.name) path,field(4,/),url_dec if { path_beg /console/live/ }
    acl enqueues method POST
    acl enqueues_path path_reg ^/queues/[^/]+/messages/?$
    http-request set-var(txn.key) var(txn.name),concat(/)
    http-request set-var(txn.key) var(txn.name),concat(/enqueue) if enqueues enqueues_path
    http-request set-var(txn.cell) var(txn.key),map_beg(${mapFile},${placement.otherwise})
    # What is about all cells.
    acl of_all path_reg ^/(queues|topics|console/live)/?$
    acl of_all path_reg ^/(schedules|keys|metrics)(/|$)
    acl of_one path_beg /queues/ /topics/ /console/live/
    use_backend desk if of_all
    use_backend cell_%[var(txn.cell)] if of_one
    # The console's pages, the documents and SQS.
    default_backend cell_${placement.otherwise}

backend desk
    option httpchk GET /livez
${serversOf('desk', desks)}
${Object.entries(cells)
  .map(([name, { replicas }]) => {
    return `
backend cell_${name}
    balance leastconn
    option httpchk GET /readyz
${serversOf(name, replicas)}`
  })
  .join('\n')}
`
}

function serversOf(name: string, urls: string[]): string {
  return urls
    .map((url, index) => {
      const { protocol, hostname, port } = new URL(url)
      const address = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`
      const tls = protocol === 'https:' ? ' ssl verify required ca-file @system-ca' : ''
      return `    server ${name}${index + 1} ${address}${tls}`
    })
    .join('\n')
}
