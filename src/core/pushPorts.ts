/** The verbs of pushes, as the store offers them. core/ports.ts has the others. */
import type { Holding } from './fairShare.ts'
import type { Push, PushSettings } from './push.ts'

export interface PushVerbs {
  /** The push of a queue. null: it has none. */
  findPush(queue: string): Promise<Push | null>
  /**
   * Counts pushes. Until the transaction ends, no other session counts, or changes one: so versions
   * follow the order of commits.
   */
  countPushes(queue: string, callerId: string): Promise<Holding & { exists: boolean }>
  /**
   * Makes a push that signs by this key, or changes the settings given. A new one needs a url. null:
   * the queue, or the push, was deleted in between.
   */
  putPush(
    queue: string,
    change: Partial<PushSettings>,
    maker: { keyId: string; callerId: string }
  ): Promise<(Push & { created: boolean }) | null>
  /** Has a push sign by a new key, and for so long by the old one too. null: there is none. */
  rotatePush(queue: string, keyId: string, oldSeconds: number): Promise<Push | null>
  /** Nothing happens if the queue has none. */
  removePush(queue: string): Promise<void>
  /** Changes with each change of a push. */
  pushesVersion(): Promise<string>
  /** All pushes, in no order. */
  allPushes(): Promise<Push[]>
  /** The secret of the service that the database holds. `made` is kept as that if there is none. */
  storedPushSecret(made: Buffer | null): Promise<Buffer | null>
}
