/** Requests as command lines of POSIX shells. It needs no browser. */

/**
 * A request that changes something. A body that is no text is sent as JSON.
 * @typedef {{ method: string, path: string, body?: string | object,
 *   headers?: Record<string, string> }} Request
 */

/** A longer argument would be refused: Linux takes at most 128 KiB. */
const argumentCharsMax = 30_000

/**
 * One word for a shell, whatever the text holds.
 * @param {string} text
 */
const quoted = text => `'${text.replaceAll("'", "'\\''")}'`

/**
 * What a request sends beside its method and path.
 * @param {Request} request
 * @returns {{ body?: string, headers?: Record<string, string> }}
 */
export function payloadOf({ body, headers = {} }) {
  if (body === undefined) return {}
  return {
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers }
  }
}

/**
 * The command that sends the request with curl. It takes the key from a variable.
 * @param {Request} request
 * @param {string} root the address of the service
 * @param {boolean} keyed whether the service asks for a key
 */
export function curlOf(request, root, keyed) {
  const { body, headers = {} } = payloadOf(request)
  const words = ['curl -sS -X', request.method, quoted(root + request.path)]
  if (keyed) words.push('-H "authorization: Bearer $HOLDFAST_KEY"')
  for (const [name, value] of Object.entries(headers)) words.push('-H', quoted(`${name}: ${value}`))
  if (body === undefined) return words.join(' ')
  // Unlike an argument, what printf writes may be of any length: printf is a part of the shell.
  if (body.length > argumentCharsMax) {
    return `printf '%s' ${quoted(body)} | ${words.join(' ')} --data-binary @-`
  }
  // Not --data, which would read a file if the body begins with @.
  return `${words.join(' ')} --data-raw ${quoted(body)}`
}
