#!/usr/bin/env node
// Starts the command line. Where this Node.js is too old, it starts the one that was installed beside.
// Without words it serves with the memory flags of npm start, which a process can only be started with.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const words = process.argv.slice(2)
const [major, minor] = process.versions.node.split('.').map(Number)
const isTooOld = major < 22 || (major === 22 && minor < 18)

// What was compiled is kept among the packages, where only those who could change them can write. It
// makes a start a third shorter. Where the folder cannot be written, nothing is kept.
module.enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/holdfast', import.meta.url)))

if (isTooOld || words.length === 0) start(isTooOld ? newerNode() : process.execPath)
// The package of npm holds what this source was compiled to.
else await import(existsSync(new URL('../src', import.meta.url)) ? '../src/main.ts' : '../dist/main.js')

function start(node) {
  if (node === null) {
    process.stderr.write(
      `Holdfast needs Node.js 22.18 or later, and this is ${process.versions.node}. Install a later one. ` +
        'On Linux (x64 or arm64) npm installs one beside Holdfast, unless optional packages are left out.\n'
    )
    process.exit(1)
  }
  const flags = words.length > 0 ? process.execArgv : [...heapFlags(), ...process.execArgv]
  const args = [...flags, fileURLToPath(import.meta.url), ...(words.length > 0 ? words : ['serve'])]
  const child = spawn(node, args, { stdio: 'inherit' })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  for (const signal of ['SIGINT', 'SIGHUP']) {
    // A terminal sends these to both, and a second one would end the child at once.
    process.on(signal, () => process.stdin.isTTY || child.kill(signal))
  }
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

function heapFlags() {
  const { config } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return config.heap.split(' ')
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
