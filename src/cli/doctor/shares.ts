/** Who holds how much of what callers share: asked of the service at the address of the settings. */
import type { Config } from '../../config.ts'
import { readAdminKey } from '../../secrets.ts'
import { ownUrl } from '../serviceAddress.ts'
import { count, ok, warning, type Check, type HeldBound, type Judge } from './check.ts'

const askMsMax = 5000

/** Null where no service answers, or it does not show its metrics. */
export async function askHeldBounds(
  config: Pick<Config, 'host' | 'port' | 'key' | 'adminKeyFile'>
): Promise<HeldBound[] | null> {
  try {
    const key = config.key === '' ? await readAdminKey(config.adminKeyFile) : config.key
    const response = await fetch(`${ownUrl(config)}/metrics`, {
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(askMsMax)
    })
    return response.ok ? readHeldBounds(await response.text()) : null
  } catch {
    return null
  }
}

/** Reads them from a page of metrics. */
export function readHeldBounds(page: string): HeldBound[] {
  const values = (name: string) =>
    [...page.matchAll(new RegExp(`^${name}{bound="([^"]+)"(?:,caller="([^"]*)")?} (\\S+)$`, 'gm'))].map(
      ([, bound, caller, value]) => ({ bound: bound!, caller: caller ?? '', value: Number(value) })
    )
  const held = values('holdfast_bound_held')
  const refused = values('holdfast_bound_refusals_total')
  const callers = values('holdfast_bound_held_by').toSorted((a, b) => b.value - a.value)
  return values('holdfast_bound').map(({ bound, value: total }) => {
    const of = (list: typeof held) => list.find(entry => entry.bound === bound)
    const most = of(callers)
    return {
      bound,
      total,
      held: of(held)?.value ?? 0,
      refused: of(refused)?.value ?? 0,
      most: most === undefined ? null : { caller: most.caller, held: most.value }
    }
  })
}

/** From this part of a bound on, it is worth a look. */
const fullPart = 0.5

export const shares: Judge = (_facts, _config, { heldBounds }): Check | undefined => {
  if (heldBounds === null) return undefined
  const [fullest] = heldBounds.toSorted((a, b) => b.held / b.total - a.held / a.total)
  if (fullest === undefined) return undefined
  const { bound, held, total, most } = fullest
  const refused = heldBounds.reduce((sum, entry) => sum + entry.refused, 0)
  const value =
    `${Math.round((100 * held) / total)} % of ${bound} (${held} of ${total}) held` +
    (most === null ? '' : `, most by ${most.caller} (${most.held})`) +
    `; ${count(refused, 'call')} refused since the start`
  return held < fullPart * total
    ? ok('shares', value)
    : warning(
        'shares',
        value,
        'Callers hold much of what this service can hold. holdfast_bound_held_by in /metrics names them, ' +
          'and holdfast keys list shows whose key it is. See Fair shares in docs/operations.md.'
      )
}
