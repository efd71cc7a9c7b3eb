/** Signatures of AWS, version 4: who has signed a request, and whether the signature is right. */
import { createHmac, createSecretKey, hash, timingSafeEqual, type KeyObject } from 'node:crypto'
import { SqsError } from './errors.ts'
import { regionDefault } from './ids.ts'

/** What a signature is about. */
export interface Signed {
  method: string
  /** As it came, with the query. */
  url: string
  /** Names in small letters. */
  headers: Record<string, string | string[] | undefined>
  body: Buffer
}

/** Who signs, when and for what. */
interface Scope {
  keyId: string
  date: string
  region: string
  service: string
}

/** What an Authorization field says. */
export interface Credential extends Scope {
  signedHeaders: string[]
  signature: string
}

const algorithm = 'AWS4-HMAC-SHA256'
/** As SQS has it. Other services of AWS take five minutes. */
const skewMinutesMax = 15
const cachedMax = 2000

/** The fields of a header of this algorithm. null: it is none. Refuses what is not well-formed. */
export function readCredential(authorization: string | undefined): Credential | null {
  const fields = fieldsOf(authorization)
  if (fields === null) return null
  const scope = scopeOf(fields)
  const signedHeaders = fields.get('SignedHeaders')?.split(';')
  const signature = fields.get('Signature')
  // A field that is named a thousand times would be hashed a thousand times.
  const isTwice = signedHeaders !== undefined && new Set(signedHeaders).size < signedHeaders.length
  if (scope === null || signedHeaders === undefined || isTwice || !/^[0-9a-f]{64}$/.test(signature ?? '')) {
    throw mismatch(`The Authorization field is no whole ${algorithm} signature.`)
  }
  return { ...scope, signedHeaders, signature: signature! }
}

/** The region that a call names in its signature, which nobody may have checked. */
export function regionOf(authorization: string | undefined): string {
  const fields = fieldsOf(authorization)
  const region = fields === null ? undefined : scopeOf(fields)?.region
  return region !== undefined && /^[a-z0-9-]{1,40}$/.test(region) ? region : regionDefault
}

function fieldsOf(authorization: string | undefined): Map<string, string> | null {
  if (authorization === undefined || !authorization.startsWith(algorithm)) return null
  return new Map(
    authorization
      .slice(algorithm.length)
      .split(',')
      .map(field => field.trim())
      .map(field => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)] as const)
  )
}

/**
 * null: there is none. Perl's signer takes every service that is not at amazonaws.com for s3, so any
 * service will do: these secrets are good for nothing else.
 */
function scopeOf(fields: Map<string, string>): Scope | null {
  const parts = (fields.get('Credential') ?? '').split('/')
  const [date = '', region = '', service = '', end] = parts.splice(-4)
  const keyId = parts.join('/')
  return keyId === '' || service === '' || end !== 'aws4_request' ? null : { keyId, date, region, service }
}

const mismatch = (message: string) => new SqsError('SignatureDoesNotMatch', message)

/** Fields that must be signed where they are sent. */
const protectedHeaders = ['host', 'x-amz-date', 'x-amz-target']

/** Checks signatures by the secrets that the service derives for key ids. */
export class Signatures {
  readonly #serviceSecrets: Buffer[]
  readonly #now: () => number
  /**
   * Signing keys, by their scope; one for each service secret. As key objects, because
   * Node takes 20 µs to see what kind of key a buffer is.
   */
  readonly #signingKeys = new Map<string, KeyObject[]>()

  /** With several service secrets, each is good: so one can be replaced by another. */
  constructor(serviceSecrets: Buffer[], now = () => Date.now()) {
    this.#serviceSecrets = serviceSecrets
    this.#now = now
  }

  get canVerify(): boolean {
    return this.#serviceSecrets.length > 0
  }

  /** Refuses with SignatureDoesNotMatch a signature that is wrong, or too old. */
  verify(request: Signed, { signedHeaders, signature, ...scope }: Credential): void {
    const { date, region, service } = scope
    const time = headerOf(request, 'x-amz-date')
    const timeMs = timeMsOf(time)
    if (Number.isNaN(timeMs) || !time.startsWith(date)) {
      throw mismatch('X-Amz-Date must be a time such as 20300131T120000Z, of the day in the Credential.')
    }
    checkTime(timeMs, this.#now())
    const unsigned = protectedHeaders.find(
      name => request.headers[name] !== undefined && !signedHeaders.includes(name)
    )
    if (unsigned !== undefined) throw mismatch(`The field ${unsigned} must be signed.`)
    const bodyHash = hash('sha256', request.body, 'hex')
    const claimed = request.headers['x-amz-content-sha256']
    if (claimed !== undefined && claimed !== bodyHash) {
      throw mismatch('X-Amz-Content-SHA256 is not the hash of the body.')
    }
    const canonical = hash('sha256', canonicalRequest(request, signedHeaders, bodyHash), 'hex')
    const text = `${algorithm}\n${time}\n${date}/${region}/${service}/aws4_request\n${canonical}`
    const given = Buffer.from(signature, 'hex')
    const fits = this.#keysFor(scope).some(key =>
      timingSafeEqual(createHmac('sha256', key).update(text).digest(), given)
    )
    if (!fits) {
      throw mismatch(
        'The request signature we calculated does not match the signature you provided. ' +
          'Check your AWS Secret Access Key and signing method.'
      )
    }
  }

  #keysFor({ keyId, date, region, service }: Scope): KeyObject[] {
    const name = `${keyId}/${date}/${region}/${service}`
    let keys = this.#signingKeys.get(name)
    if (keys === undefined) {
      keys = this.#serviceSecrets.map(secret =>
        createSecretKey(signingKey(secretFor(secret, keyId), date, region, service))
      )
      if (this.#signingKeys.size >= cachedMax) this.#signingKeys.clear()
      this.#signingKeys.set(name, keys)
    }
    return keys
  }
}

/** The secret access key of an API key. It is stored nowhere. */
export function secretFor(serviceSecret: Buffer, keyId: string): string {
  return createHmac('sha256', serviceSecret).update(`sqs${keyId}`).digest('base64url')
}

export function signingKey(secret: string, date: string, region: string, service: string): Buffer {
  return [date, region, service, 'aws4_request'].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secret}`)
  )
}

export function canonicalRequest(request: Signed, signedHeaders: string[], bodyHash: string): string {
  const at = request.url.indexOf('?')
  const path = at < 0 ? request.url : request.url.slice(0, at)
  const query = at < 0 ? '' : request.url.slice(at + 1)
  return [
    request.method,
    path === '/' ? path : path.split('/').map(encoded).join('/'),
    canonicalQuery(query),
    ...signedHeaders.map(name => `${name}:${headerOf(request, name).trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    bodyHash
  ].join('\n')
}

function canonicalQuery(query: string): string {
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  return query
    .split('&')
    .filter(field => field !== '')
    .map(field => {
      const at = field.includes('=') ? field.indexOf('=') : field.length
      return [encoded(decoded(field.slice(0, at))), encoded(decoded(field.slice(at + 1)))] as const
    })
    .sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function headerOf({ headers }: Signed, name: string): string {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}

/** Refuses in the words of AWS, from which some SDKs read its time. */
function checkTime(timeMs: number, nowMs: number): void {
  const skewMsMax = skewMinutesMax * 60_000
  if (Math.abs(timeMs - nowMs) <= skewMsMax) return
  const [time, now] = [timeOf(timeMs), timeOf(nowMs)]
  throw mismatch(
    timeMs < nowMs
      ? `Signature expired: ${time} is now earlier than ${timeOf(nowMs - skewMsMax)} ` +
          `(${now} - ${skewMinutesMax} min.)`
      : `Signature not yet current: ${time} is still later than ${timeOf(nowMs + skewMsMax)} ` +
          `(${now} + ${skewMinutesMax} min.)`
  )
}

/** Such as 20300131T120000Z. */
const timeOf = (ms: number) => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '')

function timeMsOf(time: string): number {
  if (!/^\d{8}T\d{6}Z$/.test(time)) return NaN
  const [year, month, day] = [time.slice(0, 4), time.slice(4, 6), time.slice(6, 8)]
  return Date.parse(`${year}-${month}-${day}T${time.slice(9, 11)}:${time.slice(11, 13)}:${time.slice(13)}`)
}

const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'))
  } catch {
    throw mismatch('The address is not percent-encoded UTF-8.')
  }
}
