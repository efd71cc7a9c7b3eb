/** The topic of the step `publish`: each of its queues gets a copy. */
export const tenTopic = {
  name: 'ten',
  queues: Array.from({ length: 10 }, (_, n) => `ten-${n}`)
}
