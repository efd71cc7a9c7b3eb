/**
 * Programs of Debian that tests use: a browser, a pooler, clients of SQS, a router, PostgreSQL's own
 * tools, a checker of units. `npm run check` runs this file first, which installs those that are
 * missing where it can. Tests skip what is not there. Go without what Debian recommends beside it is 81
 * MB to fetch and 474 MB on the disk. It takes 6 s to unpack, and 6 s to compile its tests the first time.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { noBrowser } from './chromium.ts'

/** Debian's own Python, for which its packages bring modules. */
export const python = '/usr/bin/python3'

const clients = [
  'pgbouncer',
  'libamazon-sqs-simple-perl',
  'php-async-aws-sqs',
  'php-cli',
  'php-curl',
  'python3-boto',
  'python3-boto3',
  'python3-celery',
  'python3-pycurl',
  'awscli',
  'ruby-aws-sdk',
  'haproxy',
  'postgresql',
  'systemd'
]

/** Why programs in Go are skipped; false where they run. Any Go from 1.19 on will do. */
export const noGo = spawnSync('go', ['version']).status === 0 ? false : 'not here: apt-get install golang-go'

/** Why tests that need these packages are skipped; false when they are there. */
export function withoutPackage(...packages: string[]): string | false {
  return packages.every(isInstalled) ? false : `not here: apt-get install ${packages.join(' ')}`
}

function isInstalled(name: string): boolean {
  const { stdout } = spawnSync('dpkg', ['--status', name], { encoding: 'utf8' })
  return stdout?.includes('\nStatus: install ok installed\n') ?? false
}

function apt(...args: string[]): boolean {
  const { status } = spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=60', ...args], {
    // At this runlevel a package does not start a service of its own.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    stdio: 'ignore',
    timeout: 180_000
  })
  return status === 0
}

if (process.argv[1] === import.meta.filename) {
  const missing = clients.filter(name => !isInstalled(name))
  if (noBrowser !== false) missing.push('chromium-headless-shell')
  if (noGo !== false) missing.push('golang-go')
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (missing.length > 0 && mayInstall) apt('update')
  const install = (...names: string[]) =>
    mayInstall && apt('install', '-y', '--no-install-recommends', ...names)
  // One that cannot be had would keep all others away.
  const allThere = missing.length > 0 && install(...missing)
  for (const name of missing) {
    process.stdout.write(
      allThere || install(name)
        ? `${name} is installed for the tests.\n`
        : `${name} could not be installed. Tests that need it are skipped.\n`
    )
  }
}
