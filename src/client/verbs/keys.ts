/** API keys. */
import { path, type CallOptions } from '../calls.ts'
import { Schedules } from './schedules.ts'
import type { KeptSchedules, KeyChange, KeyInfo, KeyMade, KeyRequest } from '../types.ts'

export class Keys extends Schedules {
  /** All API keys, without their secrets. */
  async keys(options?: CallOptions): Promise<KeyInfo[]> {
    return (await this.call<{ keys: KeyInfo[] }>('GET', '/keys', {}, options)).keys
  }

  /**
   * Makes an API key. Its `secret` is shown this once. The call is not repeated by itself, because
   * a lost answer may have made a key.
   */
  createKey(request: KeyRequest, options?: CallOptions): Promise<KeyMade> {
    return this.call('POST', '/keys', { body: request }, { retrySeconds: 0, ...options })
  }

  /** Changes what an API key may do. The key itself stays as it is. */
  changeKey(id: string, change: KeyChange, options?: CallOptions): Promise<KeyInfo> {
    return this.call('PUT', path('keys', id), { body: change }, options)
  }

  /** Revokes an API key. Answers the schedules that it owns, which stay. */
  async revokeKey(
    id: string,
    query: { pauseSchedules?: boolean | undefined } = {},
    options?: CallOptions
  ): Promise<KeptSchedules['schedules']> {
    const kept = await this.call<KeptSchedules | undefined>('DELETE', path('keys', id), { query }, options)
    return kept?.schedules ?? []
  }
}
