/** Commands for curl, run by a shell: what arrives is what the page would have sent. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'

// A module of the pages, which have types of their own.
const { curlOf, payloadOf } = await import(
  new URL('../../../src/fronts/console/pages/shell.js', import.meta.url).href
)
const run = promisify(execFile)

interface Arrived {
  method: string | undefined
  url: string | undefined
  authorization: string | undefined
  contentType: string | undefined
  body: string
}
let arrived: Arrived | null = null
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  arrived = {
    method: request.method,
    url: request.url,
    authorization: request.headers.authorization,
    contentType: request.headers['content-type'],
    body: Buffer.concat(chunks).toString()
  }
  response.end('{}')
}).listen(0, '127.0.0.1')
await once(server, 'listening')
t.teardown(() => server.close())
const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}/behind/proxy`

const nasty =
  `it's "quoted" \`id\` $(id) $HOME \${HOME} \\ \\' ''' !! # ; & | < > * ? [a] {b,c} ~ % \t` +
  '\n\n--data @/etc/hostname\n日本 😀'

const requests = {
  'a JSON object': { method: 'POST', path: '/queues/mail/redrive', body: { ids: ['1', '2'], nasty } },
  'text with every character of a shell': { method: 'POST', path: '/queues/mail/messages', body: nasty },
  'text that looks like a file': { method: 'POST', path: '/queues/mail/messages', body: '@/etc/hostname' },
  'text that looks like an option': { method: 'POST', path: '/queues/mail/messages', body: '-v' },
  'no text': { method: 'POST', path: '/queues/mail/messages', body: '' },
  'text that ends with a line': { method: 'POST', path: '/queues/mail/messages', body: 'a\n' },
  'a body that is longer than an argument may be': {
    method: 'POST',
    path: '/queues/mail/messages',
    body: `%s\\n'${nasty}`.repeat(4000)
  },
  'another content type, and options in the address': {
    method: 'POST',
    path: `/queues/mail/messages?${new URLSearchParams({ idempotencyKey: "it's [1-3] {a,b} & $HOME" })}`,
    body: 'plain',
    headers: { 'content-type': 'text/plain; charset=utf-8' }
  },
  'no body': { method: 'DELETE', path: `/queues/${encodeURIComponent("it's")}` }
}

for (const [what, request] of Object.entries(requests)) {
  t.test(`a shell sends ${what} as the page does`, async t => {
    const command = curlOf(request, root, true)
    t.match(command, '"authorization: Bearer $HOLDFAST_KEY"')
    arrived = null
    const env = { ...process.env, HOLDFAST_KEY: 'the-key' }
    const { stderr } = (await promisify((text: string, done: (error: Error | null, out: object) => void) => {
      const shell = execFile('sh', { env }, (error, stdout, stderr) => done(error, { stdout, stderr }))
      shell.stdin!.end(text)
    })(command)) as { stderr: string }
    t.equal(stderr, '')
    const { body, headers } = payloadOf(request)
    t.strictSame(arrived, {
      method: request.method,
      url: `/behind/proxy${request.path}`,
      authorization: 'Bearer the-key',
      contentType: headers?.['content-type'],
      body: body ?? ''
    })
  })
}

t.test('where no key is asked for, the command sends none', async t => {
  const command = curlOf({ method: 'DELETE', path: '/queues/mail' }, root, false)
  await run('sh', ['-c', command])
  t.match(arrived, { method: 'DELETE', authorization: undefined })
})
