/** Starts, kills and changes the process of endpoint.ts. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { EndpointOptions, Mood } from './endpoint.ts'

export class EndpointProcess {
  readonly #options: EndpointOptions
  #child: ChildProcess | null = null

  constructor(history: string, seed: number) {
    this.#options = { history, port: 0, seed }
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.port}/`
  }

  /** Resolves once it listens, on the same port each time. */
  async start(): Promise<void> {
    this.#child = fork(new URL('endpoint.ts', import.meta.url), [JSON.stringify(this.#options)])
    this.#options.seed++
    const ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`The endpoint of the pushes ended with ${code}.`)
    })
    ended.catch(() => {})
    ;[this.#options.port] = (await Promise.race([once(this.#child, 'message'), ended])) as [number]
  }

  async kill(): Promise<void> {
    if (this.#child === null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    this.#child = null
    await ended
  }

  become(mood: Mood): void {
    this.#child!.send(mood)
  }
}
