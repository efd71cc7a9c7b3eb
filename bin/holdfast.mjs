#!/usr/bin/env node
// Starts the command line. Where this Node.js is too old, it starts the one that was installed beside.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) startNewer()
// The package of npm holds what this source was compiled to.
else await import(existsSync(new URL('../src', import.meta.url)) ? '../src/main.ts' : '../dist/main.js')

function startNewer() {
  const node = newerNode()
  if (node === null) {
    process.stderr.write(
      `Holdfast needs Node.js 22.18 or later, and this is ${process.versions.node}. Install a later one. ` +
        'On Linux (x64 or arm64) npm installs one beside Holdfast, unless optional packages are left out.\n'
    )
    process.exit(1)
  }
  const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)]
  const child = spawn(node, args, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

function newerNode() {
  try {
    const resolved = import.meta.resolve(`node-${process.platform}-${process.arch}/bin/node`)
    const path = fileURLToPath(resolved)
    return existsSync(path) ? path : null
  } catch {
    return null
  }
}
