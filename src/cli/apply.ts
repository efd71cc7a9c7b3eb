/** holdfast apply: makes a service have the queues that a file declares. */
import { readFile } from 'node:fs/promises'
import { exit, UsageError, type Call, type Command } from './command.ts'
import { serviceFlags, serviceOf } from './serviceAddress.ts'

/** Exit code of a dry run that finds something to do. */
const wouldChange = 2

export const apply: Command = {
  summary: 'make a service have the queues, topics, schedules, pushes and keys of a file',
  words: 'FILE',
  about: `
Compares the file with a service that runs, prints the steps that make them agree, and takes them. What the
file leaves out stays as it is. The same file again changes nothing. docs/queues-as-code.md shows a file.

A step that fails stops the command. Run it again, and it goes on from there.

Exit codes: 0 done, or nothing to do; 1 failed; 2 wrong words, or with --dry-run: something would change.`,
  flags: {
    'dry-run': { help: 'print the steps, and take none' },
    prune: {
      help: 'remove what the sections of the file do not have, and give settings left out their defaults'
    },
    'delete-messages': { help: 'with --prune: remove queues that hold messages too' },
    secrets: { value: 'FILE', help: 'append the secrets of new keys and pushes to this file' },
    ...serviceFlags
  },
  async run(call) {
    const [name, extra] = call.words
    if (name === undefined || extra !== undefined) throw new UsageError('Name one file: holdfast apply FILE.')
    const options = { prune: call.has('prune'), deleteMessages: call.has('delete-messages') }
    if (options.deleteMessages && !options.prune) {
      throw new UsageError('--delete-messages is for queues that --prune removes. Give both, or neither.')
    }
    const text = await readFile(name, 'utf8').catch(error => {
      throw new Error(`The file ${name} cannot be read (${error.code}). Check its path and rights.`)
    })
    return await applyText(call, name, text, options)
  }
}

async function applyText(
  call: Call,
  name: string,
  text: string,
  options: { prune: boolean; deleteMessages: boolean }
): Promise<number> {
  const [{ readDeclared }, { makePlan }, { Service }, { lineOf }, { carryOut, openSecrets }] =
    await Promise.all([
      import('../declared/file.ts'),
      import('../declared/plan.ts'),
      import('../declared/restService.ts'),
      import('../declared/show.ts'),
      import('../declared/carryOut.ts')
    ])
  const file = readDeclared(name, text, call.variable)
  const service = await Service.open(await serviceOf(call))
  const plan = await makePlan(file, service, options)
  for (const sentence of plan.kept) call.say(sentence)
  for (const step of plan.steps) call.say(lineOf(step))
  const steps = count(plan.steps.length)
  if (plan.steps.length === 0) {
    call.say('Nothing to change.')
    return exit.ok
  }
  if (call.has('dry-run')) {
    call.say(`\n${steps} to take. Nothing was changed.`)
    return wouldChange
  }
  const secret = plan.steps.find(({ sign, kind }) => sign === '+' && kind.isSecret)
  const [secretsFile] = call.flag('secrets')
  if (secret !== undefined && secretsFile === undefined) {
    throw new Error(
      `${lineOf(secret)}\nThis makes a secret, which is shown once. Say where to keep it: --secrets FILE. ` +
        'Nothing was changed.'
    )
  }
  call.say('')
  await carryOut(plan, service, {
    deleteMessages: options.deleteMessages,
    keep: secretsFile === undefined ? async () => {} : await openSecrets(secretsFile),
    done: step => call.say(`done  ${lineOf(step)}`)
  })
  call.say(`\n${steps} taken.`)
  return exit.ok
}

const count = (steps: number) => `${steps} ${steps === 1 ? 'step' : 'steps'}`
