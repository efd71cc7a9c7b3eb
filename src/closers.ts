/** What closes the parts of a service. */

/** One function for each open part, which closes it, in the order in which the parts were opened. */
export type Closers = (() => Promise<unknown>)[]

/** Goes on when a part cannot be closed, and throws at the end. */
export async function closeInReverse(closers: Closers): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.splice(0).reverse()) {
    await Promise.resolve()
      .then(close)
      .catch(error => failures.push(error))
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, 'Some parts of the service could not be closed.')
  }
}
