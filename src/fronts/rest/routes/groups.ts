/** Handler of the groups of a queue. */
import type { Broker } from '../../../core/broker.ts'
import { groupRowsMax } from '../../../core/limits.ts'
import type { Server } from '../../shared/server.ts'
import { cursorOf, cursorTo } from '../cursors.ts'
import { groupOperations } from '../contract/groups.ts'

// A group may be named like a number, or not at all, so its cursor begins with a sign.
const sign = '='
const cursorPattern = new RegExp(`^${sign}[^\\p{Cc}]*$`, 'u')

export function groupRoutes(app: Server, broker: Broker): void {
  app.route({
    ...groupOperations.listGroups,
    async handler({ caller, params, query }) {
      const { limit = groupRowsMax, cursor } = query
      const after = cursorOf(cursor, cursorPattern)?.slice(sign.length) ?? null
      const { groups, next } = await broker.groups.list(caller, params.queue, after, limit)
      return { groups, cursor: cursorTo(next === null ? null : sign + next) }
    }
  })
}
