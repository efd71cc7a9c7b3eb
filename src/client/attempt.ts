/** One HTTP request, from its bytes to its answer. */
import { HoldfastError, type ErrorDetails } from './error.ts'

export interface Attempt {
  method: string
  url: string
  headers: Record<string, string>
  body: string | Uint8Array | null
  timeoutMs: number
  /** Ends the attempt; then its reason is thrown. */
  signal: AbortSignal | undefined
}

/** Sends a request once. Throws HoldfastError where it is refused, or gets no answer that can be read. */
export async function attempt({ method, url, headers, body, timeoutMs, signal }: Attempt): Promise<unknown> {
  signal?.throwIfAborted()
  // Not AbortSignal.any, whose result lives as long as the caller's signal.
  const ending = new AbortController()
  const giveUp = () => ending.abort(signal!.reason)
  signal?.addEventListener('abort', giveUp)
  const timer = setTimeout(
    () => ending.abort(new Error(`nothing came within ${timeoutMs / 1000} s`)),
    timeoutMs
  )
  try {
    const response = await fetch(url, { method, headers, body: body as string | null, signal: ending.signal })
    const text = await response.text()
    if (response.ok) return text === '' ? undefined : JSON.parse(text)
    throw refusal(response, text)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const { message, cause } = error as Error
    const reason = (cause as Error | undefined)?.message || message
    throw new HoldfastError(`No answer to ${method} ${url}: ${reason}`, {
      status: 0,
      code: 'noAnswer',
      outcome: 'unknown',
      cause: error
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
  }
}

// A proxy in front of the service may answer without a problem document.
function refusal({ status, headers }: Response, text: string): HoldfastError {
  let problem: Partial<ErrorDetails & { detail: string }> = {}
  try {
    problem = JSON.parse(text) ?? {}
  } catch {}
  const retryAfter = Number(headers.get('retry-after') ?? NaN)
  return new HoldfastError(problem.detail ?? `The answer was ${status}.`, {
    status,
    code: problem.code ?? `http${status}`,
    outcome: problem.outcome ?? (status >= 500 ? 'unknown' : 'none'),
    retryAfterSeconds: retryAfter >= 0 ? retryAfter : undefined,
    requestId: problem.requestId,
    errors: problem.errors
  })
}
