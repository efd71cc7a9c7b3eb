/** Callers by their address, for a service that asks nobody for a key. */
import { isIPv6, type Socket } from 'node:net'
import type { Caller } from '../../core/caller.ts'

const callersMax = 10_000
const callers = new Map<string, Caller>()

/** The caller at the other end of a connection. */
export function callerAt({ remoteAddress = '' }: Socket): Caller {
  const id = shareOf(remoteAddress)
  let caller = callers.get(id)
  if (caller === undefined) {
    if (callers.size >= callersMax) callers.clear()
    caller = { id, isAdmin: false }
    callers.set(id, caller)
  }
  return caller
}

/** The address, or of IPv6 the first 64 bits: one household or machine has all of these. */
export function shareOf(address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('%')[0]!.split('::')
  const parts = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - parts.length - after.length
  const all = [...parts, ...Array<string>(zeros).fill('0'), ...after]
  return `${all
    .slice(0, 4)
    .map(part => parseInt(part, 16).toString(16))
    .join(':')}::/64`
}
