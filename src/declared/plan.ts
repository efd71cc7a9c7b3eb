/** Compares a file with what the service has: the steps that make the service as the file says. */
import { isDeepStrictEqual } from 'node:util'
import { checkPush } from '../core/push.ts'
import { checkChange } from '../core/schedule.ts'
import { nextTime } from '../jobs/calendar.ts'
import { refuseCircles, targetsFirst } from './deadLetters.ts'
import { refuseAsFile, type DeclaredText } from './file.ts'
import { kinds, type Entry, type Found, type Id, type Kind } from './kinds.ts'
import type { Service } from './restService.ts'
import type { Declared, Fields } from './shape.ts'

/** A field that changes, by its path: `retry.delaySeconds`. */
export interface Change {
  name: string
  /** undefined: a new thing has nothing before, and of keys with one name some differ. */
  before: unknown
  after: unknown
}

export interface Step {
  sign: '+' | '~' | '-'
  kind: Kind
  id: Id
  /** What to send. */
  fields: Fields
  changes: Change[]
}

export interface Plan {
  steps: Step[]
  /** What stays although the file does not have it, and why. */
  kept: string[]
}

export interface PlanOptions {
  /**
   * Remove what the file does not have, and set fields that it leaves out to their defaults. A section
   * that the file does not have is left alone.
   */
  prune: boolean
  /** With `prune`: remove queues that hold messages too. */
  deleteMessages: boolean
}

/** Throws FileFault where the file cannot be carried out, and HoldfastError where the service refuses. */
export async function makePlan(file: DeclaredText, service: Service, options: PlanOptions): Promise<Plan> {
  const { declared } = file
  const plan: Plan = { steps: [], kept: [] }
  const removals: Step[] = []
  for (const kind of kinds.filter(({ section }) => declared[section] !== undefined)) {
    const entries = kind.entriesOf(declared)
    const found = await readFor(kind, service, entries, options.prune)
    const made = entries.map(entry => stepFor(kind, entry, found.get(kind.labelOf(entry.id)), file, options))
    const steps = made.filter(step => step !== null)
    if (kind.section === 'queues') await refuseCircles(entries, found, file, service, options.prune)
    plan.steps.push(...(kind.section === 'queues' ? targetsFirst(steps, targetIn(entries)) : steps))
    if (options.prune) removals.push(...removalsOf(kind, entries, found, declared, options, plan.kept))
  }
  plan.steps.push(...removals.toReversed())
  return plan
}

const targetIn = (entries: Entry[]) => {
  const targets = new Map(entries.map(({ id, fields }) => [id[0], fields.deadLetterQueue]))
  return ({ id }: Step) => targets.get(id[0]) as string | undefined
}

/** What is there of the file's entries, and with `all` of everything else, by its label. */
async function readFor(
  kind: Kind,
  service: Service,
  entries: Entry[],
  all: boolean
): Promise<Map<string, Found>> {
  const byLabel = (found: Found[]) => found.map(one => [kind.labelOf(one.id), one] as const)
  const found = new Map(all ? byLabel(await kind.read(service, null)) : [])
  // A list leaves out what the key may not see. Asked for by its name, that is refused.
  const missing = entries.map(({ id }) => id).filter(id => !found.has(kind.labelOf(id)))
  return new Map([...found, ...byLabel(await kind.read(service, missing))])
}

function stepFor(
  kind: Kind,
  { id, path, fields }: Entry,
  found: Found | undefined,
  file: DeclaredText,
  { prune }: PlanOptions
): Step | null {
  checkEntry(kind, path, fields, file)
  if (found === undefined) {
    const missing = kind.needs.find(name => !(name in fields))
    if (missing !== undefined) {
      file.refuse(path, `The ${kind.labelOf(id)} is new, so it needs ${missing}.`)
    }
    return { sign: '+', kind, id, fields, changes: changesOf(fields, {}, {}) }
  }
  const wanted = prune ? withDefaults(fields, kind.defaults) : fields
  const changes = changesOf(wanted, found.fields, kind.defaults)
  if (changes.length === 0) return null
  return { sign: '~', kind, id, fields: fieldsOf(changes), changes }
}

/** The rules that a shape cannot say, as far as the file alone can break them. */
function checkEntry({ section }: Kind, path: string[], fields: Fields, file: DeclaredText): void {
  if (section === 'push') refuseAsFile(file, path, () => checkPush(fields))
  if (section !== 'schedules') return
  const { cron, timezone = 'UTC', headers } = fields as { cron?: string; timezone?: string; headers?: any }
  refuseAsFile(file, path, () => {
    checkChange({ headers })
    if (cron !== undefined) nextTime(cron, timezone, Date.now())
  })
}

/** Settings that are given together have their defaults as an object with members. */
const isGroup = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.keys(value).length > 0

function withDefaults(fields: Fields, defaults: Fields): Fields {
  const groups = Object.entries(defaults).map(([name, value]) => [
    name,
    isGroup(value) ? { ...value, ...(fields[name] as Fields | undefined) } : (fields[name] ?? value)
  ])
  return { ...fields, ...Object.fromEntries(groups) }
}

/** The fields that are not yet as they should be. Of a group, single members. */
export function changesOf(wanted: Fields, current: Fields, defaults: Fields): Change[] {
  return Object.entries(wanted).flatMap(([name, after]) => {
    const before = current[name]
    if (isGroup(defaults[name])) {
      return changesOf(after as Fields, before as Fields, {}).map(change => ({
        ...change,
        name: `${name}.${change.name}`
      }))
    }
    return isDeepStrictEqual(before, after) ? [] : [{ name, before, after }]
  })
}

/** The body of the call that makes these changes. */
function fieldsOf(changes: Change[]): Fields {
  const fields: Fields = {}
  for (const { name, after } of changes) {
    const [first, member] = name.split('.') as [string, string?]
    fields[first] = member === undefined ? after : { ...(fields[first] as Fields), [member]: after }
  }
  return fields
}

function removalsOf(
  kind: Kind,
  entries: Entry[],
  found: Map<string, Found>,
  declared: Declared,
  { deleteMessages }: PlanOptions,
  kept: string[]
): Step[] {
  const labels = new Set(entries.map(({ id }) => kind.labelOf(id)))
  const isQueue = kind.section === 'queues'
  const named = isQueue ? queuesNamedIn(declared) : new Set()
  const steps: Step[] = []
  for (const [label, { id, messages = 0, isOwn }] of found) {
    if (labels.has(label)) continue
    if (named.has(id[0])) kept.push(`The ${label} stays, because the file names it.`)
    else if (isOwn) kept.push(`The ${label} stays, because this call uses it.`)
    else if (messages > 0 && !deleteMessages) {
      const holds = `${messages.toLocaleString('en')} ${messages === 1 ? 'message' : 'messages'}`
      kept.push(`The ${label} stays, because it holds ${holds}. --delete-messages removes it with them.`)
    } else steps.push({ sign: '-', kind, id, fields: {}, changes: [] })
  }
  if (!isQueue) return steps
  return targetsFirst(steps, ({ id }) => found.get(kind.labelOf(id))!.fields.deadLetterQueue as string | null)
}

/** Queues that the file names elsewhere than under `queues`. */
function queuesNamedIn({ queues = {}, topics = {}, schedules = {}, push = {} }: Declared): Set<unknown> {
  return new Set([
    ...Object.values(queues).map(({ deadLetterQueue }) => deadLetterQueue),
    ...Object.values(topics).flatMap(({ subscriptions }) => Object.keys(subscriptions)),
    ...Object.values(schedules).map(({ queue }) => queue),
    ...Object.keys(push)
  ])
}
