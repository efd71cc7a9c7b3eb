/** Runs the commands of queues as code in this process, against a service. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { apply as applyCommand } from '../../src/cli/apply.ts'
import { readCall, type Command } from '../../src/cli/command.ts'
import { exportQueues } from '../../src/cli/export.ts'
import { readConfig } from '../../src/config.ts'
import { service } from '../support/service.ts'

interface Ran {
  code: number
  said: string
}

/** A service, and commands for it. `variables` are those that a file may name. */
export async function commands(t: Test, env: Record<string, string> = {}) {
  const holdfast = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on', ...env } })
  const { apply, ...rest } = commandsFor(t, { HOLDFAST_URL: holdfast.url })
  return {
    holdfast,
    apply,
    ...rest,
    /** Removes everything but keys. */
    async clear() {
      await apply('queues: {}\ntopics: {}\nschedules: {}\npush: {}', '--prune', '--delete-messages')
    }
  }
}

export function commandsFor(t: Test, env: Record<string, string>) {
  const folder = t.testdir({})
  const variables: Record<string, string> = {}
  const run = async (name: string, command: Command, args: string[]): Promise<Ran> => {
    const lines: string[] = []
    const code = await command.run({
      ...readCall(name, command, args),
      config: () => readConfig(env),
      variable: variable => variables[variable],
      say: line => lines.push(line)
    })
    return { code: code ?? 0, said: lines.join('\n') }
  }
  return {
    folder,
    variables,
    async apply(text: string, ...flags: string[]): Promise<Ran> {
      const file = join(folder, 'queues.yaml')
      await writeFile(file, text)
      return await run('apply', applyCommand, [file, ...flags])
    },
    export: async (): Promise<string> => (await run('export', exportQueues, [])).said
  }
}
