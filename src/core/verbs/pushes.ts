/** Pushes: made, changed, shown and removed, and which there are now. */
import { randomBytes, type KeyObject } from 'node:crypto'
import type { Caller } from '../caller.ts'
import type { PushStates } from '../engine/pushStates.ts'
import type { Parts } from '../engine/parts.ts'
import { invalidRequest } from '../errors.ts'
import { pushRotationSeconds } from '../limits.ts'
import type { Verbs } from '../ports.ts'
import {
  checkPushRoom,
  makePushKeyId,
  pushKey,
  pushNotFound,
  pushSecret,
  type Push,
  type PushSettings,
  type PushState
} from '../push.ts'
import { queueNotFound } from '../queue.ts'

const secretBytes = 32

type Needs = Pick<Parts, 'store' | 'turns' | 'siblings' | 'pushStates'>

export class Pushes {
  readonly #parts: Needs
  /** From files, the one for new secrets first. */
  readonly #secrets: Buffer[]
  /** Of the database, where it holds one. */
  #storedSecret: Buffer | null = null
  /** The keys of pushes that have signed. */
  readonly #keys = new WeakMap<Push, { keys: KeyObject[]; untilMs: number }>()
  #version = ''
  #names = new Set<string>()
  #reading = Promise.resolve()
  /** Hears all pushes there are, whenever one has changed. */
  onRead: (pushes: Push[]) => void = () => {}
  /** What this replica knows of each. */
  readonly states: PushStates

  /** `secrets` are those of the service. Without any, the database keeps one. */
  constructor(parts: Needs, secrets: Buffer[]) {
    this.#parts = parts
    this.states = parts.pushStates
    this.#secrets = secrets
    parts.siblings.answer('readPushes', async () => {
      await this.read().catch(() => {})
      return null
    })
  }

  /**
   * Makes the push of a queue, or changes the settings given, which `checkPush` has let pass. A new one
   * answers its `secret`, once. Refuses with invalidRequest, tooManyPushes, queueNotFound.
   */
  async put(
    caller: Caller,
    queue: string,
    change: Partial<PushSettings>
  ): Promise<{ push: Push; secret: string | null }> {
    const keyId = makePushKeyId()
    const secret = pushSecret(await this.#signingSecret(caller), keyId)
    const put = await this.#write(caller, async verbs => {
      const { exists, ...held } = await verbs.countPushes(queue, caller.id)
      if (!exists && change.url === undefined) throw invalidRequest('/url', 'must be there for a new push')
      if (!exists) checkPushRoom(held, caller)
      return await verbs.putPush(queue, change, { keyId, callerId: caller.id })
    })
    if (put === null) throw queueNotFound(queue)
    const { created, ...push } = put
    return { push, secret: created ? secret : null }
  }

  /** The push of a queue, and what this replica knows of it. Refuses with pushNotFound. */
  async report(caller: Caller, queue: string): Promise<{ push: Push; state: PushState }> {
    const push = await this.find(caller, queue)
    return { push, state: await this.states.of(push.queueId) }
  }

  /** The push of a queue. Refuses with pushNotFound. */
  async find(caller: Caller, queue: string): Promise<Push> {
    const { store, turns } = this.#parts
    const push = await turns.run(caller, () => store.last.findPush(queue))
    if (push === null) throw pushNotFound(queue)
    return push
  }

  /** Ends the deliveries of a queue. Its messages stay. Nothing happens if it has no push. */
  async delete(caller: Caller, queue: string): Promise<void> {
    await this.#write(caller, verbs => verbs.removePush(queue))
  }

  /** A new secret. The old one signs too for a day. Refuses with pushNotFound. */
  async rotate(caller: Caller, queue: string): Promise<{ push: Push; secret: string }> {
    const keyId = makePushKeyId()
    const secret = pushSecret(await this.#signingSecret(caller), keyId)
    const push = await this.#write(caller, verbs => verbs.rotatePush(queue, keyId, pushRotationSeconds))
    if (push === null) throw pushNotFound(queue)
    return { push, secret }
  }

  /** The keys that sign the requests of a push now, the newest first. */
  keysOf(push: Push): KeyObject[] {
    const known = this.#keys.get(push)
    if (known !== undefined && known.untilMs > Date.now()) return known.keys
    const { keyId, oldKeyId, oldKeyUntil } = push
    const oldUntilMs = oldKeyUntil === null ? 0 : Date.parse(oldKeyUntil)
    const isOldGood = oldKeyId !== null && oldUntilMs > Date.now()
    const secrets = this.#storedSecret === null ? this.#secrets : [...this.#secrets, this.#storedSecret]
    const ids = isOldGood ? [keyId, oldKeyId] : [keyId]
    const keys = ids.flatMap(id => secrets.map(secret => pushKey(secret, id)))
    this.#keys.set(push, { keys, untilMs: isOldGood ? oldUntilMs : Infinity })
    return keys
  }

  /** Reads the pushes if one has changed. One read after the other, so none comes back that was older. */
  read(): Promise<void> {
    const read = this.#reading.then(() => this.#read())
    this.#reading = read.catch(() => {})
    return read
  }

  /** A queue was deleted here, and its push with it. */
  async queueDeleted(queue: string): Promise<void> {
    if (this.#names.has(queue)) await this.#changed()
  }

  async #read(): Promise<void> {
    const store = this.#parts.store.first
    const version = await store.pushesVersion()
    if (version === this.#version) return
    const pushes = await store.allPushes()
    if (pushes.length > 0) this.#storedSecret = await store.storedPushSecret(null)
    this.#names = new Set(pushes.map(({ queue }) => queue))
    this.#version = version
    this.onRead(pushes)
  }

  // Other replicas see the change when they read next, within a second.
  async #changed(): Promise<void> {
    await Promise.all([this.read().catch(() => {}), this.#parts.siblings.ask('readPushes', null)])
  }

  async #write<T>(caller: Caller, work: (verbs: Verbs) => Promise<T>): Promise<T> {
    const { store, turns } = this.#parts
    try {
      return await turns.run(caller, () => store.last.transaction(work))
    } finally {
      await this.#changed()
    }
  }

  /** The secret of the service that new secrets are made from. */
  async #signingSecret(caller: Caller): Promise<Buffer> {
    const { store, turns } = this.#parts
    const [secret] = this.#secrets
    if (secret !== undefined) return secret
    const stored = await turns.run(caller, () => store.last.storedPushSecret(randomBytes(secretBytes)))
    this.#storedSecret = stored
    return stored!
  }
}
