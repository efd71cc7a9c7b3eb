/** API keys in a file, by name. Names need not be unique: while a key is being replaced, there are two. */
import { isDeepStrictEqual } from 'node:util'
import type { KeyInfo } from '../../client/types.ts'
import { makeKey } from '../../core/apiKey.ts'
import { apiKeyOperations, KeyChange } from '../../fronts/rest/contract/apiKeys.ts'
import type { Service } from '../restService.ts'
import type { Fields } from '../shape.ts'
import { entriesIn, pick, type Entry, type Found, type Kind } from './kind.ts'

async function readByName(service: Service): Promise<Map<string, KeyInfo[]>> {
  const { keys } = await service.call<{ keys: KeyInfo[] }>(apiKeyOperations.listKeys)
  return Map.groupBy(keys, ({ name }) => name)
}

async function idsOf(service: Service, name: string): Promise<string[]> {
  const named = (await readByName(service)).get(name) ?? []
  return named.map(({ id }) => id)
}

/** All keys of one name. */
function foundIn(name: string, keys: KeyInfo[], { keyId }: Service): Found {
  const [first, ...others] = keys.map(key => withSortedRights(pick(key, KeyChange)))
  const fields = Object.entries(first!).map(([field, value]) => {
    const isCommon = others.every(other => isDeepStrictEqual(other[field], value))
    return [field, isCommon ? value : undefined]
  })
  return { id: [name], fields: Object.fromEntries(fields), isOwn: keys.some(({ id }) => id === keyId) }
}

/** Their order says nothing. */
const withSortedRights = (fields: Fields): Fields => ({
  ...fields,
  ...(Array.isArray(fields.rights) && { rights: fields.rights.toSorted() })
})

const isAdmin = ({ fields: { rights } }: Entry) => Array.isArray(rights) && rights.includes('admin')

export const keys: Kind = {
  section: 'keys',
  labelOf: ([name]) => `key ${name}`,
  defaults: { requestsPerSecond: null, messagesPerSecond: null },
  needs: ['rights'],
  isSecret: true,
  // The first key of all must be an admin key.
  entriesOf: declared =>
    entriesIn('keys')(declared)
      .map(({ fields, ...entry }) => ({ ...entry, fields: withSortedRights(fields) }))
      .toSorted((a, b) => Number(isAdmin(b)) - Number(isAdmin(a))),
  async readAll(service) {
    return [...(await readByName(service))].map(([name, named]) => foundIn(name, named, service))
  },
  async readSome(service, ids) {
    const byName = await readByName(service)
    return ids.flatMap(([name]) => {
      const named = byName.get(name)
      return named === undefined ? [] : [foundIn(name, named, service)]
    })
  },
  async put(service, { id: [name], fields, isNew }, keep) {
    if (!isNew) {
      for (const id of await idsOf(service, name)) {
        await service.call(apiKeyOperations.changeKey, { id }, { body: fields })
      }
      return
    }
    // Made here and kept first: so an answer that is lost loses no key, and the call can be repeated.
    const { secret } = makeKey()
    await keep('key', name, secret)
    await service.call(apiKeyOperations.createKey, {}, { body: { name, ...fields, secret } })
    // From the first key on, every call needs one, and the first one is an admin key.
    if (service.isOpen) service.useKey(secret)
  },
  async remove(service, [name]) {
    for (const id of await idsOf(service, name)) await service.call(apiKeyOperations.revokeKey, { id })
  }
}
