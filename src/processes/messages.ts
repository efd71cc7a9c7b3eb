/** What the first process of a replica and those that serve say to one another. */
import type { Asked, Told } from '../core/engine/siblings.ts'

/** [kind, …what is told] */
export type Telling = { [K in keyof Told]: [K, ...Told[K]] }[keyof Told]

/** From a process that serves. */
export type FromServer =
  | { is: 'serving'; url: string }
  /** It cannot start, with the reason in a sentence. */
  | { is: 'failed'; reason: string }
  /** A line for a person. */
  | { is: 'saying'; line: string }
  | { is: 'telling'; tellings: Telling[] }
  | { is: 'asking'; number: number; kind: keyof Asked; about: unknown }
  | { is: 'answering'; number: number; answer: unknown }

/** From the first process. */
export type FromFirst =
  /** To start, as a part of the replica of this name. */
  | { is: 'starting'; replica: string; processIndex: number; processCount: number }
  | { is: 'told'; from: string; tellings: Telling[] }
  | { is: 'asked'; number: number; kind: keyof Asked; about: unknown }
  | { is: 'answered'; number: number; answers: unknown[] }
  | { is: 'joined' }
  | { is: 'gone'; process: string }
  /** To finish what was begun, and end. */
  | { is: 'stopping' }
