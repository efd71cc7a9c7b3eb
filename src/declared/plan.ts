/** Compares a file with what the service has: the steps that make the service as the file says. */
import { changesOf, fieldsOf, withDefaults, type Change } from './changes.ts'
import { refuseCircles, targetsFirst } from './deadLetters.ts'
import { refuseAsFile, type DeclaredText } from './file.ts'
import type { Entry, Found, Id, Kind } from './kinds/kind.ts'
import { kinds } from './kinds/index.ts'
import type { Service } from './restService.ts'
import type { Declared, Fields } from './shape.ts'

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

/** A section of the file, and what the service has of its kind. */
interface Section {
  kind: Kind
  entries: Entry[]
  /** What is there of the entries, and with `prune` of everything else, by its label. */
  found: Map<string, Found>
}

/** Throws FileFault where the file cannot be carried out, and HoldfastError where the service refuses. */
export async function makePlan(file: DeclaredText, service: Service, options: PlanOptions): Promise<Plan> {
  const { declared } = file
  const { prune } = options
  const steps: Step[] = []
  const removals: Step[] = []
  const kept: string[] = []
  for (const kind of kinds.filter(({ section }) => declared[section] !== undefined)) {
    const entries = kind.entriesOf(declared)
    const section = { kind, entries, found: await readFound(kind, entries, service, prune) }
    if (kind.section === 'queues') await refuseCircles(section, { file, service, prune })
    steps.push(...targetsFirst(entries).flatMap(entry => stepFor(section, entry, file, prune) ?? []))
    if (!prune) continue
    const surplus = surplusOf(section, declared, options)
    removals.push(...surplus.removals)
    kept.push(...surplus.kept)
  }
  return { steps: [...steps, ...removals.toReversed()], kept }
}

async function readFound(
  kind: Kind,
  entries: Entry[],
  service: Service,
  all: boolean
): Promise<Map<string, Found>> {
  const byLabel = (found: Found[]) => found.map(one => [kind.labelOf(one.id), one] as const)
  const found = new Map(all ? byLabel(await kind.readAll(service)) : [])
  // A list leaves out what the key may not see. Asked for by its name, that is refused.
  const missing = entries.map(({ id }) => id).filter(id => !found.has(kind.labelOf(id)))
  return new Map([...found, ...byLabel(await kind.readSome(service, missing))])
}

/** Answers null where nothing changes. Refuses what the file cannot mean. */
function stepFor(
  { kind, found }: Section,
  { id, path, fields }: Entry,
  file: DeclaredText,
  prune: boolean
): Step | null {
  refuseAsFile(file, path, () => kind.check?.(fields))
  const current = found.get(kind.labelOf(id))
  if (current === undefined) {
    const missing = kind.needs.find(name => !(name in fields))
    if (missing !== undefined) {
      file.refuse(path, `The ${kind.labelOf(id)} is new, so it needs ${missing}.`)
    }
    return { sign: '+', kind, id, fields, changes: changesOf(fields, {}, {}) }
  }
  const wanted = prune ? withDefaults(fields, kind.defaults) : fields
  const changes = changesOf(wanted, current.fields, kind.defaults)
  return changes.length === 0 ? null : { sign: '~', kind, id, fields: fieldsOf(changes), changes }
}

/** What the service has and the file does not: what is removed, and what stays and why. */
function surplusOf(
  { kind, entries, found }: Section,
  declared: Declared,
  options: PlanOptions
): { removals: Step[]; kept: string[] } {
  const inFile = new Set(entries.map(({ id }) => kind.labelOf(id)))
  const named = kind.namedElsewhere?.(declared) ?? new Set()
  const removed: Found[] = []
  const kept: string[] = []
  for (const [label, thing] of found) {
    if (inFile.has(label)) continue
    const reason = named.has(thing.id[0]) ? 'the file names it.' : reasonToStay(thing, options)
    if (reason === null) removed.push(thing)
    else kept.push(`The ${label} stays, because ${reason}`)
  }
  const removals = targetsFirst(removed).map(({ id }): Step => {
    return { sign: '-', kind, id, fields: {}, changes: [] }
  })
  return { removals, kept }
}

function reasonToStay(
  { isOwn = false, messages = 0 }: Found,
  { deleteMessages }: PlanOptions
): string | null {
  if (isOwn) return 'this call uses it.'
  if (messages === 0 || deleteMessages) return null
  const holds = `${messages.toLocaleString('en')} ${messages === 1 ? 'message' : 'messages'}`
  return `it holds ${holds}. --delete-messages removes it with them.`
}
