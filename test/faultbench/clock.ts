/**
 * Preloaded into a replica (`--import`): its clock is wrong by HOLDFAST_TEST_CLOCK_MS. Timers are
 * not affected.
 */
const offMs = Number(process.env.HOLDFAST_TEST_CLOCK_MS)

globalThis.Date = new Proxy(Date, {
  construct: (right, values, as) =>
    Reflect.construct(right, values.length === 0 ? [right.now() + offMs] : values, as),
  get: (right, key) => (key === 'now' ? () => right.now() + offMs : Reflect.get(right, key))
})
