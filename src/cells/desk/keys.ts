/** API keys over all cells. Every cell has every key. */
import { makeKey } from '../../core/apiKey.ts'
import type { FastifyRequest } from 'fastify'
import { entriesIn, StrangeAnswer, type CellAnswer } from '../answer.ts'
import type { CellCalls } from '../calls.ts'
import { requestOf } from './forward.ts'

/**
 * Makes one key in every cell. Where a cell refuses it, the key is revoked again in the others. A key
 * that the caller gave is left there: it may be an older one, and the caller can send it again.
 */
export async function createKey(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const { cellNames } = calls.placement
  const given = readObject(request.body)
  // The cell says what is wrong with the body.
  if (given === null) return await calls.call(cellNames[0]!, requestOf(request))
  const secret = typeof given.secret === 'string' ? given.secret : makeKey().secret
  const wanted = { ...requestOf(request), body: JSON.stringify({ ...given, secret }) }
  const made: string[] = []
  let answer: CellAnswer | undefined
  try {
    for (const cell of cellNames) {
      answer = await calls.call(cell, wanted)
      if (answer.status >= 300) break
      made.push(cell)
    }
  } finally {
    const isNew = given.secret === undefined
    if (isNew && made.length < cellNames.length) await takeBack(calls, made, secret, request)
  }
  return answer!
}

async function takeBack(calls: CellCalls, made: string[], secret: string, request: FastifyRequest) {
  const id = secret.split('_')[1]
  const revoke = { ...requestOf(request), method: 'DELETE', path: `/keys/${id}`, body: undefined }
  await Promise.allSettled(made.map(cell => calls.call(cell, revoke)))
}

function readObject(body: unknown): Record<string, unknown> | null {
  try {
    const value = JSON.parse(body as string)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

interface KeyEntry {
  id: string
  createdAt: string
}

/** The keys of all cells, the oldest first. */
export async function listKeys(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const keysIn = (answer: CellAnswer) => entriesIn<KeyEntry>(answer, 'keys', ['id', 'createdAt'])
  const answers = await calls.callAll({ ...requestOf(request), check: keysIn })
  const refused = answers.find(({ status }) => status !== 200)
  if (refused !== undefined) return refused
  const found = answers.flatMap(keysIn)
  const keys = [...new Map(found.map(key => [key.id, key])).values()]
  keys.sort((a, b) => a.createdAt.localeCompare(b.createdAt))
  return { ...answers[0]!, text: JSON.stringify({ keys }) }
}

/** Changes a key in every cell. Sent again, the call completes what a cell that was away has missed. */
export async function changeKey(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const answers = await calls.callAll(requestOf(request))
  return answers.find(({ status }) => status >= 300) ?? answers[0]!
}

/** Revokes a key in every cell. Refuses with cellUnavailable while one of them does not answer. */
export async function revokeKey(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const answers = await calls.callAll({ ...requestOf(request), check: schedulesIn })
  const found = answers.filter(({ status }) => status !== 404)
  const refused = found.find(({ status }) => status >= 300)
  if (found.length === 0 || refused !== undefined) return refused ?? answers[0]!
  const schedules = found.flatMap(answer => (answer.status === 200 ? schedulesIn(answer) : []))
  if (schedules.length === 0) return found[0]!
  return { ...found.find(({ status }) => status === 200)!, text: JSON.stringify({ schedules }) }
}

function schedulesIn({ json }: CellAnswer): unknown[] {
  const { schedules } = json as { schedules?: unknown }
  if (Array.isArray(schedules)) return schedules
  throw new StrangeAnswer('no list of schedules')
}
