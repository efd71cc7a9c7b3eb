/** The alert rules, in Prometheus's own hands: what they fire on, and what they do not. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { findPromtool, noPromtool } from '../support/promtool.ts'

const rules = 'docs/operations/alerts.yaml'
const cases = 'test/docs/alertCases.yaml'
const promtool = await findPromtool()
const check = (...words: string[]) =>
  promisify(execFile)(promtool!, words).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }) => `${stdout}${stderr}`
  )

t.test('every alert has a case in which it fires', async t => {
  const { groups } = parse(await readFile(rules, 'utf8')) as {
    groups: { rules: { alert: string }[] }[]
  }
  const { tests } = parse(await readFile(cases, 'utf8')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[]
  }
  const firing = tests
    .flatMap(test => test.alert_rule_test)
    .filter(({ exp_alerts: alerts }) => alerts.length > 0)
    .map(({ alertname }) => alertname)
  const alerts = groups.flatMap(group => group.rules).map(({ alert }) => alert)
  t.strictSame([...new Set(firing)].sort(), alerts.sort())
})

t.test(
  'alerts fire when something is wrong, and not for a queue that is paused on purpose',
  { skip: promtool === null && noPromtool },
  async t => {
    t.match(await check('check', 'rules', rules), /SUCCESS/)
    t.match(await check('test', 'rules', cases), /SUCCESS/)
  }
)
