/** How `npm start` starts the service: for those that start it without npm, which would keep signals. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The arguments of node in the checkout of a folder. */
export async function startArguments(folder: string): Promise<string[]> {
  const { config, scripts } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const command: string = scripts.start.replace('$npm_package_config_heap', config?.heap)
  return command.split(' node ')[1]!.split(' ')
}
