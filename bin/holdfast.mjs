#!/usr/bin/env node
// Runs the command line on a Node.js that can run TypeScript as it stands, and says what to
// install on one that cannot.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `Holdfast needs Node.js 22.18 or later, and this is ${process.versions.node}: install it, or start Holdfast with npm start after npm run quickstart on Linux (x64 or arm64), where npm brings a Node.js of its own.\n`
  )
  process.exit(1)
}
await import('../src/main.ts')
