/** Where a command finds the service that it talks to, and the key that it sends. */
import { readFile } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { UsageError, type Call, type Command } from './command.ts'

export const serviceFlags: Command['flags'] = {
  url: {
    value: 'URL',
    help: 'the service (default: HOLDFAST_URL, or where the settings have it serve)'
  },
  'key-file': {
    value: 'FILE',
    help: 'a file that holds the API key to use (default: HOLDFAST_KEY, else HOLDFAST_ADMIN_KEY_FILE)'
  }
}

/** The service that the words or the settings name. Throws UsageError. */
export async function serviceOf(call: Call): Promise<{ url: string; key: string | undefined }> {
  const config = call.config()
  const url = call.flag('url')[0] ?? (config.url === '' ? ownUrl(config) : config.url)
  return { url: checkUrl(url), key: (await readKey(call)) || undefined }
}

/** The address where a service of these settings serves, as seen from this machine. */
export function ownUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const reachable = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

/** The address without slashes at its end. Throws UsageError where it is none of a service. */
export function checkUrl(url: string): string {
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new UsageError('--url must be the address of a service, e.g. http://127.0.0.1:8080.')
  }
  return url.replace(/(?<!\/)\/+$/, '')
}

/** The key to send; '' where there is none. Throws UsageError where its file cannot be read. */
export async function readKey(call: Call): Promise<string> {
  const { key, adminKeyFile } = call.config()
  const [file] = call.flag('key-file')
  if (file === undefined && key !== '') return key
  const path = file ?? adminKeyFile
  if (path === '') return ''
  const text = await readFile(path, 'utf8').catch(error => {
    throw new UsageError(`The key file ${path} cannot be read (${error.code}). Check its path and rights.`)
  })
  return text.trim()
}
