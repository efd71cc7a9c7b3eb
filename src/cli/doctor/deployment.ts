/** Whether services find what they need: connections, notices, keys, open files, the right time. */
import { isLoopback } from '../../config.ts'
import { bad, count, ok, warning, type Judge } from './check.ts'

export const clock: Judge = ({ clock: { aheadMs, uncertainMs } }) => {
  const value =
    `${Math.abs(Math.round(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} the ` +
    `database's (± ${Math.ceil(uncertainMs)} ms)`
  return Math.abs(aheadMs) - uncertainMs < 1000
    ? ok('clock', value)
    : warning(
        'clock',
        value,
        "Leases and delays go by the database's clock and are right. But due messages may be found " +
          'up to a second late, and times in logs do not match. Set both clocks by NTP.'
      )
}

export const notices: Judge = ({ notice }, { listenUrl }) => {
  const name = listenUrl === '' ? 'listener' : 'listener (HOLDFAST_LISTEN_URL)'
  if (typeof notice === 'number') {
    if (notice < 100) return ok(name, `a notice took ${notice.toFixed(1)} ms`)
    return warning(
      name,
      `a notice took ${Math.round(notice)} ms`,
      "Waiting consumers hear of other replicas' messages with this delay. " +
        'Check the network to the database, and its load.'
    )
  }
  const cause =
    listenUrl === ''
      ? 'LISTEN does not work through a pooler in transaction mode. Give a direct URL in HOLDFAST_LISTEN_URL.'
      : 'HOLDFAST_LISTEN_URL must lead to PostgreSQL itself, and to the database of HOLDFAST_DATABASE_URL.'
  return bad(
    name,
    notice,
    `${cause} Until then, waiting consumers hear of other replicas' messages up to a second late.`
  )
}

export const pooler: Judge = ({ pooling: { pooling, refusal, advice } }) => {
  const name = 'pooler'
  const value = `the connection leads through one in ${pooling} mode`
  if (pooling === 'none') return undefined
  if (refusal !== null) return bad(name, value, `The service refuses to start. ${refusal}`)
  return advice === null ? ok(name, value) : warning(name, value, advice)
}

export const connections: Judge = ({ server, pooling, hosts }, { poolSize, processes }, surroundings) => {
  const name = 'connections'
  const replicas = surroundings.replicas || Math.max(1, Math.ceil(server.listeners / processes))
  // Of each process: one to listen, and one that watches the primary among several hosts.
  const others = processes * (hosts.length === 0 ? 1 : 2)
  const needed = replicas * (poolSize + others)
  // Replicas that run now may open more than they use now.
  const free = server.connectionsMax - server.connectionsUsed
  const value =
    `${count(replicas, 'replica')} × (${poolSize} + ${others}) = ${needed} of ${server.connectionsMax}; ` +
    `${server.connectionsUsed} in use now`
  if (pooling.pooling !== 'none') return ok(name, `${value}; a pooler shares them`)
  if (needed > server.connectionsMax) {
    const fitting = Math.max(2 * processes, Math.floor(server.connectionsMax / replicas) - others)
    return bad(
      name,
      value,
      `Replicas will be refused connections. Lower HOLDFAST_POOL_SIZE to ${fitting}, or raise ` +
        'max_connections (and restart PostgreSQL), or the limit of the role or the database.'
    )
  }
  if (needed > 0.8 * server.connectionsMax || free < 5) {
    return warning(
      name,
      value,
      'Little is left for others, and for a new replica beside the one it replaces. ' +
        'Lower HOLDFAST_POOL_SIZE, or raise max_connections.'
    )
  }
  return ok(name, value)
}

export const apiKeys: Judge = ({ schema }, { auth, adminKeyFile, host }) => {
  const name = 'keys'
  const stored = schema?.apiKeys ?? 0
  const value =
    `${count(stored, 'key')}${adminKeyFile === '' ? '' : ' and an admin key from a file'}; ` +
    `served on ${host}`
  if (auth === 'off') {
    return warning(
      name,
      `HOLDFAST_AUTH=off; served on ${host}`,
      'Everyone who reaches it may use every queue, and so may web pages that point a domain at it. ' +
        'Make keys, and set HOLDFAST_AUTH=keys.'
    )
  }
  if (stored > 0 || adminKeyFile !== '') return ok(name, `required: ${value}`)
  return isLoopback(host)
    ? warning(
        name,
        `not required yet: ${value}, to this machine only`,
        'Behind a proxy or a tunnel every caller looks like this machine. Before you put one in front, ' +
          'run holdfast keys create ops --allow admin.'
      )
    : bad(
        name,
        value,
        "The service refuses to start without a key. Run holdfast keys create 'ops' --allow admin, " +
          'or set HOLDFAST_ADMIN_KEY_FILE.'
      )
}

// Each connection takes one file, and the service some fifty of its own.
export const openFiles: Judge = (_, { connectionsMax }, { filesMax }) => {
  if (filesMax === null) return undefined
  const needed = connectionsMax + 100
  const value = `${filesMax} here, for ${connectionsMax} connections (HOLDFAST_CONNECTIONS_MAX)`
  return filesMax >= needed
    ? ok('open files', value)
    : warning(
        'open files',
        value,
        'Callers beyond the limit hang instead of being refused. ' +
          `Run ulimit -n ${2 ** Math.ceil(Math.log2(needed))} (in systemd LimitNOFILE, in Compose ` +
          'ulimits), or lower HOLDFAST_CONNECTIONS_MAX.'
      )
}
