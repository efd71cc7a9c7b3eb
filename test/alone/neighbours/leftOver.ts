/** Gives a process only the processor time that nobody else wants, as if it were on another machine. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import type { Test } from 'tap'

/** Where Linux has its groups of processes: those of the processors, or those of everything. */
const parents = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup']

/** The process needs a session of its own. It is ended with the test. */
export async function runOnLeftOverTime(t: Test, child: ChildProcess): Promise<void> {
  const pid = child.pid!
  const ended = once(child, 'exit')
  const group = await makeIdle(pid)
  t.teardown(async () => {
    child.kill()
    await ended
    if (group !== null) await rmdir(group)
  })
  if (group !== null) return
  t.comment('without a group of idle processes, the nuisance takes some of the time of the others')
  setPriority(pid, constants.priority.PRIORITY_LOW)
  // Linux may share processors out among sessions first, and there each connection of PostgreSQL is one.
  const session = `/proc/${pid}/autogroup`
  if (existsSync(session)) await writeFile(session, String(constants.priority.PRIORITY_LOW))
}

/**
 * Puts the process into a group that every other process interrupts at once. One of the lowest priority
 * would go on for up to 3 ms, and everybody would wait for it. null where there are no such groups.
 */
async function makeIdle(pid: number): Promise<string | null> {
  for (const parent of parents) {
    const group = join(parent, `holdfast-test-${pid}`)
    try {
      await mkdir(group)
    } catch {
      continue
    }
    const write = (name: string, text: string) => writeFile(join(group, name), text, { flag: 'r+' })
    try {
      await write('cpu.idle', '1')
      await write('cgroup.procs', String(pid))
      return group
    } catch {
      await rmdir(group)
    }
  }
  return null
}
