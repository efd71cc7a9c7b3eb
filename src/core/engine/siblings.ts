/**
 * The other processes of this replica. They serve the same port, and limits hold for all of them
 * together. What they tell one another are hints and counts: nothing of a message depends on them.
 */
import type { Digits } from '../message.ts'
import type { PushState } from '../push.ts'
import type { ShareReport } from './share.ts'

/** What a process tells the others. */
export interface Told {
  /** Somebody waits for messages of a queue at that process. */
  waits: [queueId: Digits]
  waitsNoMore: [queueId: Digits]
  /** Whether somebody waits for the end of a message at that process. */
  waitsForEnds: [waits: boolean]
  /** A message was acked, has died or was removed. */
  ended: [messageId: Digits]
  /** Messages of a queue have become ready, the first of them at this position. */
  ready: [queueId: Digits, count: number, position: number]
  /** A queue was deleted, or its limits have changed: these many callers ask again. */
  open: [queueId: Digits, count: number]
  /** Leases of a queue with `maxLeased` have ended. */
  free: [queueId: Digits, count: number]
  /** What callers hold at that process, of a bound, since the last time. */
  held: [bound: string, callers: [id: string, held: number][]]
  /** Callers that have let everybody wait there. */
  heavy: [callerIds: string[]]
  /** What was taken of the rates of a key since the last time. */
  taken: [keyId: string, requests: number, messages: number]
}

/** What a process asks the others, and what each of them answers. */
export interface Asked {
  /** To read the API keys again: one was made or revoked. */
  readKeys: { about: null; answer: null }
  /** To forget the settings of a queue, which were changed. */
  forgetQueue: { about: string; answer: null }
  /** To forget the subscriptions of a topic, which were changed. */
  forgetTopic: { about: string; answer: null }
  /** When messages of a queue were last asked for there, in ms since the epoch. null: not lately. */
  askedMs: { about: Digits; answer: number | null }
  /** For the metrics of that process, as objects of prom-client. */
  metrics: { about: null; answer: object[] }
  /** To read the pushes again: one was made, changed or removed. */
  readPushes: { about: null; answer: null }
  /** What is known there of the push of a queue. null: it does not deliver for it. */
  pushState: { about: Digits; answer: PushState | null }
  /** Who holds how much of each bound there. */
  shares: { about: null; answer: ShareReport[] }
}

type Hearer<K extends keyof Told> = (from: string, ...told: Told[K]) => void
type Answerer<K extends keyof Asked> = (about: Asked[K]['about']) => Promise<Asked[K]['answer']>

export interface Siblings {
  /** There are no others, and never will be. */
  readonly alone: boolean
  /** Which of the replica's processes this is, from 0 on, and how many there are. */
  readonly processIndex: number
  readonly processCount: number
  /** The name of the replica, by which other replicas know all its processes. */
  readonly replica: string
  /** Much waits to be told: the others are slow to hear. */
  readonly busy: boolean
  /** Tells the others, within two milliseconds. */
  tell<K extends keyof Told>(kind: K, ...told: Told[K]): void
  /** Hears what another process tells. `from` names that process. */
  hear<K extends keyof Told>(kind: K, hearer: Hearer<K>): void
  /** The answers of all others. One that has ended, or does not answer within two seconds, is left out. */
  ask<K extends keyof Asked>(kind: K, about: Asked[K]['about']): Promise<Asked[K]['answer'][]>
  answer<K extends keyof Asked>(kind: K, answerer: Answerer<K>): void
  /** Another process has begun to listen. It knows nothing of this one. */
  onJoined(hearer: () => void): void
  /** Another process has ended, and holds nothing any more. */
  onGone(hearer: (process: string) => void): void
}

/** For a replica of one process. */
export const noSiblings: Siblings = {
  alone: true,
  processIndex: 0,
  processCount: 1,
  replica: '',
  busy: false,
  tell() {},
  hear() {},
  ask: async () => [],
  answer() {},
  onJoined() {},
  onGone() {}
}
