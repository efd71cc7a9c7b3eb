/** holdfast export: writes what a service has, as a file for holdfast apply. */
import type { Command } from './command.ts'
import { serviceFlags, serviceOf } from './serviceAddress.ts'

export const exportQueues: Command = {
  summary: 'print the queues, topics, schedules, pushes and keys of a service, for holdfast apply',
  about: `
Prints a file in YAML: all that the key may see. Messages and secrets are not in it.`,
  flags: serviceFlags,
  async run(call) {
    const [{ exportText }, { Service }] = await Promise.all([
      import('../declared/export.ts'),
      import('../declared/restService.ts')
    ])
    const service = await Service.open(await serviceOf(call))
    call.say((await exportText(service)).trimEnd())
    for (const left of service.hidden) process.stderr.write(`Left out: ${left}.\n`)
  }
}
