/** A nuisance: a process of its own that does the deeds of an order until it is told to end. */
import { answers, deeds, end, largeDeeds, prepare, type Order } from './deeds.ts'

process.on('message', async (order: Order | 'end') => {
  if (order === 'end') {
    end()
    process.send!(answers, () => process.exit())
    return
  }
  await prepare(order)
  process.send!('ready')
  for (const name of order.deeds) ({ ...deeds, ...largeDeeds })[name]!(order)
})

// It has a session of its own, so nothing else ends it with its test.
process.on('disconnect', () => process.exit())
