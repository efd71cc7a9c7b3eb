/** Signatures of AWS, version 4: who has signed a request, and whether the signature is right. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
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

/** Who signs, and for what. */
interface Signer {
  keyId: string
  date: string
  region: string
  /** The date, the region, the service and an end. */
  scope: string
}

/** What an Authorization field says. */
export interface Credential extends Signer {
  signedHeaders: string[]
  signature: string
}

const algorithm = 'AWS4-HMAC-SHA256'
/** As SQS has it. Other services of AWS take five minutes. */
const skewMinutesMax = 15
const cachedMax = 2000
const cachedCharsMax = 1000
const signatureChars = 64

/** The fields of a header of this algorithm. null: it is none. Refuses what is not well-formed. */
export function readCredential(authorization: string | undefined): Credential | null {
  const fields = fieldsOf(authorization)
  if (fields === null) return null
  const signer = signerOf(fields)
  const signedHeaders = fields.get('SignedHeaders')?.split(';')
  const signature = fields.get('Signature')
  // A field that is named a thousand times would be hashed a thousand times.
  const isTwice = signedHeaders !== undefined && new Set(signedHeaders).size < signedHeaders.length
  if (signer === null || signedHeaders === undefined || isTwice || !/^[0-9a-f]{64}$/.test(signature ?? '')) {
    throw mismatch(`The Authorization field is no whole ${algorithm} signature.`)
  }
  return { ...signer, signedHeaders, signature: signature! }
}

/** The region that a call names in its signature, which nobody may have checked. */
export function regionOf(authorization: string | undefined): string {
  const fields = fieldsOf(authorization)
  const region = fields === null ? undefined : signerOf(fields)?.region
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
function signerOf(fields: Map<string, string>): Signer | null {
  const parts = (fields.get('Credential') ?? '').split('/')
  const [date = '', region = '', service = '', end] = parts.splice(-4)
  const keyId = parts.join('/')
  if (keyId === '' || service === '' || end !== 'aws4_request') return null
  return { keyId, date, region, scope: `${date}/${region}/${service}/${end}` }
}

const mismatch = (message: string) => new SqsError('SignatureDoesNotMatch', message)

/** Fields that must be signed where they are sent. */
const protectedHeaders = ['host', 'x-amz-date', 'x-amz-target']

/** Checks signatures by the secrets that the service derives for key ids. */
export class Signatures {
  readonly #serviceSecrets: Buffer[]
  readonly #now: () => number
  /** By what stands before a signature, which a caller repeats for a day. */
  readonly #credentials = new Map<string, Credential>()
  /** By who signs for what; one for each service secret. */
  readonly #signingKeys = new Map<string, MacKey[]>()
  /** The last X-Amz-Date that was read, which the requests of one second share. */
  #lastTime = { text: '', ms: NaN }

  /** With several service secrets, each is good: so one can be replaced by another. */
  constructor(serviceSecrets: Buffer[], now = () => Date.now()) {
    this.#serviceSecrets = serviceSecrets
    this.#now = now
  }

  get canVerify(): boolean {
    return this.#serviceSecrets.length > 0
  }

  /** As `readCredential`, but what a caller repeats is read once. */
  credentialOf(authorization = ''): Credential | null {
    const before = authorization.slice(0, -signatureChars)
    const known = this.#credentials.get(before)
    if (known !== undefined) return { ...known, signature: authorization.slice(-signatureChars) }
    const credential = readCredential(authorization)
    const isLast = before.endsWith('Signature=') && before.length <= cachedCharsMax
    if (credential !== null && isLast) setBounded(this.#credentials, before, credential)
    return credential
  }

  /** Refuses with SignatureDoesNotMatch a signature that is wrong, or too old. */
  verify(request: Signed, credential: Credential): void {
    const { date, scope, signedHeaders, signature } = credential
    const time = headerOf(request, 'x-amz-date')
    const timeMs = this.#timeMsOf(time)
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
    const text = `${algorithm}\n${time}\n${scope}\n${canonical}`
    const given = Buffer.from(signature, 'latin1')
    const name = `${credential.keyId}/${scope}`
    const keys = this.#signingKeys.get(name) ?? this.#keysFor(credential)
    const fits = keys.some(key => timingSafeEqual(Buffer.from(macOf(key, text), 'latin1'), given))
    if (!fits) {
      throw mismatch(
        'The request signature we calculated does not match the signature you provided. ' +
          'Check your AWS Secret Access Key and signing method.'
      )
    }
    // Only now: a caller without the secret may make up any number of scopes.
    if (!this.#signingKeys.has(name)) setBounded(this.#signingKeys, name, keys)
  }

  #keysFor({ keyId, scope }: Signer): MacKey[] {
    return this.#serviceSecrets.map(secret => macKey(signingKey(secretFor(secret, keyId), scope)))
  }

  #timeMsOf(text: string): number {
    if (this.#lastTime.text !== text) this.#lastTime = { text, ms: timeMsOf(text) }
    return this.#lastTime.ms
  }
}

function setBounded<Value>(cache: Map<string, Value>, name: string, value: Value): void {
  if (cache.size >= cachedMax) cache.clear()
  cache.set(name, value)
}

/** What the two hashes of an HMAC begin with, as RFC 2104 makes it of a key. */
interface MacKey {
  inner: string
  outer: string
}

/** Of a key with at most 64 bytes, the block of SHA-256. */
function macKey(key: Buffer): MacKey {
  const padded = Buffer.concat([key], 64)
  const mixed = (byte: number) => Buffer.from(padded.map(part => part ^ byte)).toString('latin1')
  return { inner: mixed(0x36), outer: mixed(0x5c) }
}

/** An HMAC by two plain hashes. Node's own makes an object, which takes it 3 to 4 µs more. */
function macOf({ inner, outer }: MacKey, text: string): string {
  const first = hash('sha256', Buffer.from(inner + text, 'latin1'), 'binary')
  return hash('sha256', Buffer.from(outer + first, 'latin1'), 'hex')
}

/** The secret access key of an API key. It is stored nowhere. */
export function secretFor(serviceSecret: Buffer, keyId: string): string {
  return createHmac('sha256', serviceSecret).update(`sqs${keyId}`).digest('base64url')
}

/** By a scope such as 20300131/us-east-1/sqs/aws4_request. */
export function signingKey(secret: string, scope: string): Buffer {
  return scope
    .split('/')
    .reduce<Buffer>(
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
