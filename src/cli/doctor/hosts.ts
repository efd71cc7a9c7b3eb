/** Whether the hosts of a URL with several are one primary and its standbys. */
import type { Facts } from '../../databaseTasks.ts'
import { bad, ok, warning, type Judge } from './check.ts'

type Host = Facts['hosts'][number]

export const hosts: Judge = ({ hosts }) => {
  const name = 'hosts'
  if (hosts.length === 0) return undefined
  const value = hosts.map(describe).join('; ')
  const answered = hosts.flatMap(({ facts }) => facts ?? [])
  const differing = (field: 'system' | 'timeline') =>
    new Set(answered.flatMap(facts => facts[field] ?? [])).size > 1
  if (differing('system')) {
    return bad(
      name,
      value,
      'These are not copies of one cluster. Name a primary and its standbys in HOLDFAST_DATABASE_URL.'
    )
  }
  if (answered.filter(({ standby }) => !standby).length > 1) {
    return bad(
      name,
      value,
      'More than one takes writes. Stop the one of the lower timeline, and make it a standby by pg_rewind ' +
        'or by a new base backup. A service that starts anew while it alone can be reached would use it.'
    )
  }
  if (differing('timeline')) {
    return warning(
      name,
      value,
      'A standby of another timeline does not follow the primary, or has not followed it yet. ' +
        'Read its log. If it cannot follow, make it anew by pg_rewind or by a new base backup.'
    )
  }
  if (answered.length < hosts.length) {
    return warning(
      name,
      value,
      'Start the host that gives no answer, or take it out of HOLDFAST_DATABASE_URL.'
    )
  }
  return ok(name, value)
}

function describe({ name, facts, error }: Host): string {
  if (facts === null) return `${name} gives no answer (${error})`
  const taken = facts.readOnly ? 'takes no writes' : 'takes writes'
  const role = facts.standby ? 'is a standby' : taken
  return `${name} ${role}${facts.timeline === null ? '' : `, timeline ${facts.timeline}`}`
}
