/** The messages that producers send, and how their bodies are read back from an answer. */
import { printOf } from './history.ts'
import type { Random } from './random.ts'

export interface Draft {
  token: string
  body: Buffer
  contentType: string
  headers: Record<string, string>
}

/**
 * Makes a message. Its body holds digits, escapes, names and bytes that would not survive being
 * parsed and written again.
 */
export function draft(kind: 'json' | 'text' | 'bytes', token: string, dice: Random): Draft {
  const filling = 'x'.repeat(dice.chance(0.02) ? 20_000 : dice.below(200))
  const headers: Record<string, string> =
    kind === 'json' && dice.chance(0.3) ? { trace: token, 'wéird ': '\u0001"\\' } : {}
  if (kind === 'json') {
    return {
      token,
      body: Buffer.from(
        `{ "id":"<${token}>", "big":12345678901234567890.10, "d":1.0,"d":2e0, ` +
          `"esc":"\\u0041\\/é\\ud83d\\ude00" ,"f":"${filling}"}`
      ),
      contentType: 'application/json',
      headers
    }
  }
  if (kind === 'text') {
    return {
      token,
      body: Buffer.from(`<${token}> "grüße"\r\n\\u0041 ${filling}`),
      contentType: 'text/plain; charset=UTF-8',
      headers
    }
  }
  return {
    token,
    body: Buffer.concat([
      Buffer.from(`<${token}>`),
      Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      Buffer.from(filling)
    ]),
    contentType: 'application/octet-stream',
    headers
  }
}

/** The bodies as they stand in the text of the answer; JSON.parse would lose their exact form. */
export function bodiesOf(text: string): Buffer[] {
  return [
    ...text.matchAll(/"maxAttempts":\d+,"body(Base64)?":(.*?),"contentType":"([^"]*)","headers":/gs)
  ].map(([, base64, body, type]) =>
    base64 !== undefined
      ? Buffer.from(JSON.parse(body!), 'base64')
      : Buffer.from(type === 'application/json' ? body! : JSON.parse(body!))
  )
}

/** The message that the ack of a step enqueues. */
export function thenOf({ id, fence }: { id: string; fence: number }) {
  const token = `then-${id}-${fence}`
  const body = `<${token}>`
  return { token, body, print: printOf(Buffer.from(JSON.stringify(body)), 'application/json', {}) }
}
