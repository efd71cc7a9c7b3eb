/** What the large set-ups share. */
import { interrupted } from './interrupt.ts'
import type { Subject } from './subjects.ts'

export const million = 1_000_000
export const base = { callers: 64, count: 1, bodyBytes: 200, warmMs: 1500, runMs: 4000 } as const
export const fill = {
  step: 'enqueue',
  callers: 8,
  count: 100,
  bodyBytes: 200,
  warmMs: 0,
  runMs: 600_000
} as const

export type Say = (text: string) => void

export async function ask<Answer>(
  subject: Subject,
  method: string,
  path: string,
  body: object
): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${subject.port}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: interrupted
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return (await response.json()) as Answer
}
