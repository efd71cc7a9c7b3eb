import { setTimeout as pause } from 'node:timers/promises'

/**
 * Between two looks at what another process changes. Looks without a pause would take the processor
 * time that the other one needs.
 */
export const pollPause = () => pause(10)
