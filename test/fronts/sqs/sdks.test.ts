/**
 * The life of a queue by the SDKs that Debian has for other languages, with a key. Those that are not on
 * this machine are skipped.
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { secretFor } from '../../../src/fronts/sqs/signature.ts'
import { python, withoutPackage } from '../../support/debian.ts'
import { service } from '../../support/service.ts'

const sdks: [name: string, command: string, program: string, packages: string[]][] = [
  ['Perl: Amazon::SQS::Simple', '/usr/bin/perl', 'amazonSqsSimple.pl', ['libamazon-sqs-simple-perl']],
  ['PHP: AsyncAws', '/usr/bin/php', 'asyncAws.php', ['php-async-aws-sqs', 'php-cli', 'php-curl']],
  ['Python: boto 2', python, 'boto2.py', ['python3-boto']],
  ['Ruby: the AWS SDK', '/usr/bin/ruby', 'awsSdk.rb', ['ruby-aws-sdk']]
]

const serviceSecret = 'a secret of the service, of more than 32 bytes'
const file = join(t.testdir(), 'signing-secret')
await writeFile(file, serviceSecret)
const { url, post } = await service(t, { env: { HOLDFAST_SIGNING_SECRET_FILE: file } })
const { id } = (await post('/keys', { name: 'sdks', rights: ['admin'] })).body
const credentials = [id, secretFor(Buffer.from(serviceSecret), id)]

for (const [name, command, program, packages] of sdks) {
  t.test(name, { skip: withoutPackage(...packages) }, async t => {
    const { stdout } = await promisify(execFile)(command, [
      `test/fronts/sqs/sdks/${program}`,
      url,
      ...credentials
    ])
    t.equal(stdout, 'ok\n')
  })
}
