/** A replica of several processes, and a connection to each of them. */
import http from 'node:http'
import type { Test } from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { freshDatabase } from '../support/postgres.ts'
import { serviceProcess } from '../support/service.ts'

export interface Reply {
  status: number
  body: any
  text: string
}

/** One connection, so one process. */
export interface Line {
  ask(method: string, path: string, body?: unknown, key?: string): Promise<Reply>
  post(path: string, body?: unknown, key?: string): Promise<Reply>
}

/**
 * A replica of two processes, with a connection to each. New connections go to them in turn, so
 * nothing else may have connected before.
 */
export async function twoProcesses(t: Test, env: Record<string, string> = {}) {
  const database = await freshDatabase(t)
  const holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: database.url,
    HOLDFAST_PROCESSES: '2',
    ...env
  })
  const one = line(t, holdfast.url)
  await one.ask('GET', '/livez')
  const two = line(t, holdfast.url)
  await two.ask('GET', '/livez')
  return { holdfast, one, two, database }
}

export function line(t: Test, url: string): Line {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const ask = (method: string, path: string, body?: unknown, key?: string): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const headers = {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` })
      }
      const request = http.request(url + path, { method, agent, headers }, response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
        })
        response.on('error', reject)
        response.on('end', () => {
          const isJson = /json/.test(response.headers['content-type'] ?? '')
          resolve({ status: response.statusCode!, body: isJson ? JSON.parse(text) : text, text })
        })
      })
      request.on('error', reject)
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { ask, post: (path, body, key) => ask('POST', path, body, key) }
}

/** A number on the page of metrics. */
export async function metric({ ask }: Line, name: string, key?: string): Promise<number> {
  const { text } = await ask('GET', '/metrics', undefined, key)
  return Number(
    text
      .split('\n')
      .find(row => row.startsWith(`${name} `))!
      .split(' ')[1]
  )
}

/** Asks until the answer is as wanted. */
export async function until<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (isWanted(answer)) return answer
    await pollPause()
  }
}
