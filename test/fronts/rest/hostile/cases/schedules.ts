/** Bad schedules: fields, cron lines, time zones. */
import { get, put, type Case } from './case.ts'

const path = '/schedules/s'

const badFields: Case[] = [
  put(path, '{"queue":"../q","cron":"* * * * *","body":1}', 'invalidRequest', '/queue'),
  put(path, '{"queue":"q","cron":1,"body":1}', 'invalidRequest', '/cron'),
  put(path, '{"priority":10}', 'invalidRequest', '/priority'),
  put(path, '{"paused":"no"}', 'invalidRequest', '/paused'),
  put(path, '{"missed":"twice"}', 'invalidRequest', '/missed'),
  put(path, '{"command":"ls"}', 'invalidRequest', '/command'),
  put(path, '{"timezone":""}', 'invalidRequest', '/timezone'),
  put(
    path,
    '{"queue":"q","cron":"* * * * *","body":1,"headers":{"holdfast-schedule":"x"}}',
    'invalidRequest',
    '/headers/holdfast-schedule'
  ),
  put(path, '{"headers":{"a":"\\u0000"}}', 'invalidRequest', '/headers/a')
]

const badCrons = [
  '',
  '* * * *',
  '* * * * * *',
  '60 * * * *',
  '0 0 31 2 *',
  '*/0 * * * *',
  '1-0 * * * *',
  '9'.repeat(100) + ' * * * *',
  '@reboot',
  "* * * * *'; drop table holdfast.queues; --",
  '\\u0000 * * * *',
  '\\ud800 * * * *'
]
const badZones = ['Nowhere/Else', '../../etc/passwd', '+25:00', '\\u0000', "UTC' or true"]

export const schedules: Case[] = [
  ...badFields,
  ...badCrons.map(cron => put(path, `{"queue":"q","cron":"${cron}","body":1}`, 'invalidSchedule')),
  ...badZones.map(zone =>
    put(path, `{"queue":"q","cron":"* * * * *","timezone":"${zone}","body":1}`, 'invalidSchedule')
  ),
  put(path, '{"queue":"q","cron":"* * * * *"}', 'scheduleNotFound'),
  put(path, JSON.stringify({ queue: 'q', cron: '* * * * *', body: 'x'.repeat(1_048_575) }), 'bodyTooLarge'),
  put('/schedules/..%2fs', '{"paused":true}', 'invalidRequest', 'path/schedule'),
  get('/schedules/constructor', 'scheduleNotFound'),
  {
    name: 'a DELETE of no schedule',
    method: 'DELETE',
    path: '/schedules/constructor',
    code: 'scheduleNotFound'
  },
  { name: 'a run of no schedule', path: '/schedules/s/run', body: '{}', code: 'scheduleNotFound' },
  get('/schedules?cursor=Li4v', 'invalidCursor', 'query/cursor')
]
