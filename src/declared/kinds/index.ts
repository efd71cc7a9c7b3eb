/** The kinds of things in a file, in the order in which they are made. They are removed in reverse. */
import { keys } from './keys.ts'
import type { Kind } from './kind.ts'
import { pushes } from './pushes.ts'
import { queues } from './queues.ts'
import { schedules } from './schedules.ts'
import { subscriptions } from './subscriptions.ts'

export const kinds: Kind[] = [queues, subscriptions, schedules, pushes, keys]
