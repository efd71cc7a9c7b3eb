#!/usr/bin/env node
// Starts the command line, or says what to install when this Node.js cannot run TypeScript.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `Holdfast needs Node.js 22.18 or later, and this is ${process.versions.node}. Install a later one. ` +
      'On Linux (x64 or arm64) npm run quickstart installs one in the project, and npm start uses it.\n'
  )
  process.exit(1)
}
await import('../src/main.ts')
