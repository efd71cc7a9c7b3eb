/**
 * The load generator, a process of its own: callers on raw sockets, each with one request under
 * way. Its parent sends it a load. It parses no more of an answer than it needs, since it takes
 * processor time from the service.
 */
import { callers, produce } from './callers.ts'
import { Slice, type Load } from './slice.ts'

process.on('message', (load: Load) => {
  const slice = new Slice(load)
  slice.start(callers[load.step](slice), produce)
})
