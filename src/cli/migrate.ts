/** holdfast migrate: the schema alone, for deployments that change it in a step of its own. */
import type { Command } from './command.ts'

export const migrate: Command = {
  summary: "bring the database to this release's schema, and exit",
  about: `
Applies the migrations that the database does not have yet, in one transaction. Prints the name of each, and
exits. It is safe beside services of this release and of the one before. Several may run at once: one works,
the others wait for it.

holdfast serve does the same at its start. Use this to do it before, or to see it fail before.`,
  flags: {},
  async run({ config, say }) {
    const { migrateDatabase } = await import('../databaseTasks.ts')
    const applied = await migrateDatabase(config())
    for (const name of applied) say(name)
    if (applied.length === 0) say('Nothing to do: the database has the schema of this release.')
  }
}
