/** holdfast openapi: the OpenAPI document, as the routes make it. */
import { writeFile } from 'node:fs/promises'
import type { Command } from './command.ts'

export const openapi: Command = {
  summary: 'print the OpenAPI document',
  about: 'Prints the OpenAPI 3.1 document of this release. A service serves the same at /openapi.json.',
  flags: {
    write: {
      help: 'for development (npm run openapi): write openapi/openapi.json and the types of clients instead'
    }
  },
  async run({ has, say }) {
    const { describeApi } = await import('../fronts/rest/docs.ts')
    const document = await describeApi()
    if (!has('write')) return say(document.trimEnd())
    const { clientLimits, clientTypes, pythonLimits } = await import('../fronts/rest/clientTypes.ts')
    const { goTypes } = await import('../fronts/rest/goTypes.ts')
    await writeFile(new URL('../../openapi/openapi.json', import.meta.url), document)
    await writeFile(new URL('../client/types.ts', import.meta.url), clientTypes())
    await writeFile(new URL('../client/limits.ts', import.meta.url), clientLimits())
    await writeFile(new URL('../../clients/python/src/holdfast/_limits.py', import.meta.url), pythonLimits())
    await writeFile(new URL('../../clients/go/types.go', import.meta.url), goTypes())
  }
}
