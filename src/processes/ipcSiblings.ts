/** The siblings of a process that serves, reached through the first process. */
import type { Asked, Siblings, Told } from '../core/engine/siblings.ts'
import type { FromFirst, FromServer, Telling } from './messages.ts'

/** What is told within this time goes in one message. */
const joinMs = 2
/** From so much on, counts wait where they are kept. */
const busyMin = 1000
/** What waits to be told. More are left out: they are hints, and the sweeper finds what they say. */
const waitingMax = 10_000

type AnyHearer = (from: string, ...told: unknown[]) => void
type AnyAnswerer = (about: unknown) => Promise<unknown>

/** `send` gives a message to the first process, and calls back when it has been handed over. */
export class IpcSiblings implements Siblings {
  readonly alone = false
  readonly replica: string
  readonly processIndex: number
  readonly processCount: number
  readonly #send: (message: FromServer, sent?: () => void) => void
  readonly #hearers = new Map<keyof Told, AnyHearer[]>()
  readonly #answerers = new Map<keyof Asked, AnyAnswerer>()
  readonly #joined: (() => void)[] = []
  readonly #gone: ((process: string) => void)[] = []
  readonly #asking = new Map<number, (answers: unknown[]) => void>()
  #asked = 0
  #tellings: Telling[] = []
  #isSending = false
  #toldMs = -Infinity
  #timer: NodeJS.Timeout | undefined

  constructor(
    { replica, processIndex, processCount }: Pick<Siblings, 'replica' | 'processIndex' | 'processCount'>,
    send: (message: FromServer, sent?: () => void) => void
  ) {
    this.replica = replica
    this.processIndex = processIndex
    this.processCount = processCount
    this.#send = send
  }

  get busy(): boolean {
    return this.#tellings.length >= busyMin
  }

  tell<K extends keyof Told>(kind: K, ...told: Told[K]): void {
    if (this.#tellings.length >= waitingMax) return
    this.#tellings.push([kind, ...told] as unknown as Telling)
    this.#tellSoon()
  }

  hear<K extends keyof Told>(kind: K, hearer: (from: string, ...told: Told[K]) => void): void {
    this.#hearers.set(kind, [...(this.#hearers.get(kind) ?? []), hearer as AnyHearer])
  }

  ask<K extends keyof Asked>(kind: K, about: Asked[K]['about']): Promise<Asked[K]['answer'][]> {
    const number = ++this.#asked
    return new Promise(resolve => {
      this.#asking.set(number, resolve as (answers: unknown[]) => void)
      this.#send({ is: 'asking', number, kind, about })
    })
  }

  answer<K extends keyof Asked>(
    kind: K,
    answerer: (about: Asked[K]['about']) => Promise<Asked[K]['answer']>
  ): void {
    this.#answerers.set(kind, answerer as AnyAnswerer)
  }

  onJoined(hearer: () => void): void {
    this.#joined.push(hearer)
  }

  onGone(hearer: (process: string) => void): void {
    this.#gone.push(hearer)
  }

  /** Takes a message of the first process. */
  receive(message: FromFirst): void {
    switch (message.is) {
      case 'told':
        for (const [kind, ...told] of message.tellings) {
          for (const hearer of this.#hearers.get(kind) ?? []) hearer(message.from, ...told)
        }
        return
      case 'asked':
        this.#answer(message)
        return
      case 'answered':
        this.#asking.get(message.number)?.(message.answers)
        this.#asking.delete(message.number)
        return
      case 'joined':
        for (const hearer of this.#joined) hearer()
        return
      case 'gone':
        for (const hearer of this.#gone) hearer(message.process)
    }
  }

  async #answer({ number, kind, about }: Extract<FromFirst, { is: 'asked' }>): Promise<void> {
    // Without an answer, the first process leaves this one out.
    const answer = await this.#answerers
      .get(kind)?.(about)
      .catch(() => undefined)
    this.#send({ is: 'answering', number, answer })
  }

  // One message at a time, so that what waits for a busy process is joined and not piled up.
  #tellSoon(): void {
    if (this.#isSending || this.#timer !== undefined) return
    const waitMs = Math.max(0, this.#toldMs + joinMs - performance.now())
    this.#timer = setTimeout(() => this.#tellNow(), waitMs)
  }

  #tellNow(): void {
    this.#timer = undefined
    this.#toldMs = performance.now()
    const tellings = this.#tellings
    this.#tellings = []
    this.#isSending = true
    this.#send({ is: 'telling', tellings }, () => {
      this.#isSending = false
      if (this.#tellings.length > 0) this.#tellSoon()
    })
  }
}
