/** Bounds of the service. npm run generate takes them from src/core/limits.ts. */

export const delaySecondsMax = 31536000
export const leaseSecondsMax = 43200
export const listMax = 1000
export const waitSecondsMax = 60
