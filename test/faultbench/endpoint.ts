/**
 * The endpoint of the pushes, in a process that the bench can kill. What it got and how it answered
 * goes into the history, before the answer goes out.
 */
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { printOf, tokenOf, type PushEvent } from './history.ts'
import { random } from './random.ts'

/** How it answers: mostly well, or not at all, or always with a 500. */
export type Mood = 'good' | 'hangs' | 'fails'

export interface EndpointOptions {
  history: string
  /** 0: any that is free. */
  port: number
  seed: number
}

const { history, port, seed } = JSON.parse(process.argv[2]!) as EndpointOptions
const dice = random(seed)
const workMsMax = 20
let mood: Mood = 'good'

/** A good endpoint fails too now and then. A hang ends with the timeout of the push. */
function fateOf(): 'good' | 'hangs' | 'fails' | 'cuts' {
  if (mood !== 'good') return mood
  return dice.weighted({ good: 90, fails: 6, cuts: 3, hangs: 1 }) as 'good' | 'hangs' | 'fails' | 'cuts'
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const at = Date.now()
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const fate = fateOf()
  if (fate === 'good') await pause(dice.below(workMsMax))
  const status = { good: 204, fails: 500, cuts: 0, hangs: 0 }[fate]
  const { headers } = request
  const event: PushEvent = {
    t: 'push',
    queue: String(headers['holdfast-queue']),
    id: String(headers['webhook-id']),
    token: tokenOf(body),
    print: printOf(body, String(headers['content-type']), {}),
    at,
    end: Date.now(),
    status
  }
  appendFileSync(history, `${JSON.stringify(event)}\n`)
  if (fate === 'hangs') return
  if (fate === 'cuts') response.destroy()
  else response.writeHead(status).end()
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
})
server.listen(port, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
process.on('message', (given: Mood) => {
  mood = given
})
process.on('disconnect', () => process.exit())
