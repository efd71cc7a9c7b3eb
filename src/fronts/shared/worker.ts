/** The name of a worker that gives none. */
import type { FastifyRequest } from 'fastify'
import { workerCharsMax } from '../../core/limits.ts'

/** The program that asks, as its `User-Agent` says. */
export const workerOf = ({ headers }: FastifyRequest): string =>
  headers['user-agent']?.slice(0, workerCharsMax) || 'unknown'
