/** Secrets that the service has in files. */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Config } from './config.ts'

/** The admin key in a file; null without a file. Throws when the file holds none. */
export async function readAdminKey(file: string): Promise<string | null> {
  if (file === '') return null
  const secret = (await readSecret('HOLDFAST_ADMIN_KEY_FILE', file)).toString().trim()
  if (!/^[\x21-\x7e]{32,256}$/.test(secret)) {
    throw new Error(
      'HOLDFAST_ADMIN_KEY_FILE must hold one key of 32 to 256 printable characters. ' +
        'Make one with openssl rand -base64 32.'
    )
  }
  return secret
}

const signingSecretBytesMin = 32

/**
 * The service secrets of HOLDFAST_SIGNING_SECRET_FILE, the one for new keys first. Without the
 * setting, the one beside the embedded database, which is made if there is none. Empty: there is none.
 */
export async function readSigningSecrets({
  signingSecretFile,
  databaseUrl,
  dataDir
}: Pick<Config, 'signingSecretFile' | 'databaseUrl' | 'dataDir'>): Promise<Buffer[]> {
  if (signingSecretFile === '') {
    return databaseUrl === '' ? [await ownSigningSecret(join(dataDir, 'signing-secret'))] : []
  }
  return await Promise.all(signingSecretFile.split(',').map(file => signingSecretIn(file.trim())))
}

async function ownSigningSecret(file: string): Promise<Buffer> {
  const made = randomBytes(signingSecretBytesMin).toString('base64url')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `${made}\n`, { flag: 'wx', mode: 0o600 }).catch(error => {
    if (error.code !== 'EEXIST') throw error
  })
  return await signingSecretIn(file)
}

async function signingSecretIn(file: string): Promise<Buffer> {
  const bytes = await readSecret('HOLDFAST_SIGNING_SECRET_FILE', file)
  const end = /\r?\n$/.exec(bytes.toString('latin1'))?.index ?? bytes.length
  if (end < signingSecretBytesMin) {
    throw new Error(
      `HOLDFAST_SIGNING_SECRET_FILE must hold ${signingSecretBytesMin} or more random bytes. ` +
        'Make it with openssl rand -base64 48.'
    )
  }
  return bytes.subarray(0, end)
}

async function readSecret(setting: string, file: string): Promise<Buffer> {
  return await readFile(file).catch(error => {
    throw new Error(
      `${setting} cannot be read (${error.code}). Check that ${file} exists and that the service may read it.`
    )
  })
}
