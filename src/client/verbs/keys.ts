/** API keys. */
import { path, type CallOptions } from '../calls.ts'
import { Schedules } from './schedules.ts'
import type { KeptSchedules, KeyChange, KeyInfo, KeyMade, KeyRequest, RevokeKeyQuery } from '../types.ts'

export class Keys extends Schedules {
  /** All API keys, without their secrets. */
  async keys(options?: CallOptions): Promise<KeyInfo[]> {
    return (await this.call<{ keys: KeyInfo[] }>('GET', '/keys', {}, options)).keys
  }

  /**
   * Makes an API key. The answer shows its `secret`, only this once. The client does not repeat this
   * call, because a try whose answer was lost may have made a key.
   */
  createKey(request: KeyRequest, options?: CallOptions): Promise<KeyMade> {
    return this.call('POST', '/keys', { body: request }, { retrySeconds: 0, ...options })
  }

  /** Changes the rights and rates of an API key. Its secret stays. */
  changeKey(id: string, change: KeyChange, options?: CallOptions): Promise<KeyInfo> {
    return this.call('PUT', path('keys', id), { body: change }, options)
  }

  /** Revokes an API key. Answers its schedules, which stay. `pauseSchedules` pauses them. */
  async revokeKey(
    id: string,
    query: RevokeKeyQuery = {},
    options?: CallOptions
  ): Promise<KeptSchedules['schedules']> {
    const kept = await this.call<KeptSchedules | undefined>('DELETE', path('keys', id), { query }, options)
    return kept?.schedules ?? []
  }
}
