/** What processes of a replica hear of one another. */
import t from 'tap'
import type { FromFirst } from '../../src/processes/messages.ts'
import { Relay } from '../../src/processes/relay.ts'

function member(id: string) {
  const heard: FromFirst[] = []
  const send = (message: FromFirst) => {
    heard.push(message)
  }
  return { id, heard, send }
}

t.test('what a process told before it served is forgotten when it ends', t => {
  const relay = new Relay()
  const [serving, starting] = [member('1'), member('2')]
  relay.join(serving)
  relay.receive(starting, { is: 'telling', tellings: [] })
  t.match(serving.heard, [{ is: 'told', from: '2' }])
  relay.leave(starting)
  t.match(serving.heard[1], { is: 'gone', process: '2' })
  t.end()
})
