/** Carries a plan out, step by step. */
import { appendFile, open } from 'node:fs/promises'
import type { KeepSecret } from './kinds/kind.ts'
import type { Plan, Step } from './plan.ts'
import type { Service } from './restService.ts'
import { lineOf } from './show.ts'

export interface CarryOutOptions {
  deleteMessages: boolean
  keep: KeepSecret
  /** Hears of each step that is done. */
  done: (step: Step) => void
}

/**
 * Stops at the first step that fails, with a sentence which one it was. What is done stays done, so
 * another plan goes on from there.
 */
export async function carryOut(
  { steps }: Plan,
  service: Service,
  { deleteMessages, keep, done }: CarryOutOptions
): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const { sign, kind, id, fields } = step
    try {
      if (sign === '-') await kind.remove(service, id, deleteMessages)
      else await kind.put(service, { id, fields, isNew: sign === '+' }, keep)
    } catch (error) {
      const message = (error as Error).message
      throw new Error(
        `Step ${index + 1} of ${steps.length} failed: ${lineOf(step)}\n${message}\n` +
          'The steps before it are done. Run the command again, and it goes on from here.',
        { cause: error }
      )
    }
    done(step)
  }
}

/** Appends secrets to a file that only its owner can read, each as a line of JSON. */
export async function openSecrets(file: string): Promise<KeepSecret> {
  await (await open(file, 'a', 0o600)).close()
  return (kind, name, secret) => appendFile(file, `${JSON.stringify({ [kind]: name, secret })}\n`)
}
