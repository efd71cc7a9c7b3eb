/** When a schedule is due, through clock changes too. Pure: no database. */
import t from 'tap'
import { nextTime } from '../../src/jobs/calendar.ts'

/**
 * The next times, as the zone's clock shows them and in UTC, which tells apart two that look alike.
 */
function runs(cron: string, timezone: string, after: string, count: number): string[] {
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit'
  })
  const shown: string[] = []
  for (let ms = Date.parse(after); shown.length < count;) {
    ms = nextTime(cron, timezone, ms)
    shown.push(`${clock.format(ms).replace(', ', ' ')} = ${new Date(ms).toISOString().slice(11, 16)}Z`)
  }
  return shown
}

const table: [promise: string, cron: string, timezone: string, after: string, expected: string[]][] = [
  [
    'a daily job in the hour that is left out runs once, right after',
    '30 2 * * *',
    'America/New_York',
    '2026-03-07T00:00Z',
    ['07 02:30 = 07:30Z', '08 03:00 = 07:00Z', '09 02:30 = 06:30Z']
  ],
  [
    'several times left out are one run',
    '*/20 2 * * *',
    'America/New_York',
    '2026-03-07T08:00Z',
    ['08 03:00 = 07:00Z', '09 02:00 = 06:00Z', '09 02:20 = 06:20Z']
  ],
  [
    'what is left out and what is due right after are one run',
    '0 2,3 * * *',
    'America/New_York',
    '2026-03-08T00:00Z',
    ['08 03:00 = 07:00Z', '09 02:00 = 06:00Z']
  ],
  [
    'a daily job in the hour that comes twice runs the first time',
    '30 1 * * *',
    'America/New_York',
    '2026-10-31T00:00Z',
    ['31 01:30 = 05:30Z', '01 01:30 = 05:30Z', '02 01:30 = 06:30Z']
  ],
  [
    'made while the hour comes again, it is due the next day',
    '30 1 * * *',
    'America/New_York',
    '2026-11-01T06:10Z',
    ['02 01:30 = 06:30Z']
  ],
  [
    'an hourly job runs in each hour that there is',
    '15 * * * *',
    'America/New_York',
    '2026-03-08T05:30Z',
    ['08 01:15 = 06:15Z', '08 03:15 = 07:15Z', '08 04:15 = 08:15Z']
  ],
  [
    'an hourly job runs in the hour that comes twice, twice',
    '15 * * * *',
    'America/New_York',
    '2026-11-01T04:30Z',
    ['01 01:15 = 05:15Z', '01 01:15 = 06:15Z', '01 02:15 = 07:15Z']
  ],
  [
    'a job of every second hour is not lost with the hour that is left out',
    '0 */2 * * *',
    'America/New_York',
    '2026-03-08T04:00Z',
    ['08 00:00 = 05:00Z', '08 03:00 = 07:00Z', '08 04:00 = 08:00Z']
  ],
  [
    'each minute is a minute, into the hour that comes again',
    '* * * * *',
    'America/New_York',
    '2026-11-01T05:58Z',
    ['01 01:59 = 05:59Z', '01 01:00 = 06:00Z', '01 01:01 = 06:01Z']
  ],
  [
    'each minute is a minute, out of it',
    '* * * * *',
    'America/New_York',
    '2026-11-01T06:58Z',
    ['01 01:59 = 06:59Z', '01 02:00 = 07:00Z']
  ],
  [
    'London, forward',
    '30 1 * * *',
    'Europe/London',
    '2026-03-28T12:00Z',
    ['29 02:00 = 01:00Z', '30 01:30 = 00:30Z']
  ],
  [
    'London, back',
    '30 1 * * *',
    'Europe/London',
    '2026-10-25T00:00Z',
    ['25 01:30 = 00:30Z', '26 01:30 = 01:30Z']
  ],
  [
    'Lord Howe, forward by half an hour',
    '15 2 * * *',
    'Australia/Lord_Howe',
    '2026-10-03T00:00Z',
    ['04 02:30 = 15:30Z', '05 02:15 = 15:15Z']
  ],
  [
    'Lord Howe, back by half an hour',
    '45 1 * * *',
    'Australia/Lord_Howe',
    '2026-04-04T00:00Z',
    ['05 01:45 = 14:45Z', '06 01:45 = 15:15Z']
  ],
  [
    'Lord Howe, each half hour, back',
    '*/30 * * * *',
    'Australia/Lord_Howe',
    '2026-04-04T14:00Z',
    ['05 01:30 = 14:30Z', '05 01:30 = 15:00Z', '05 02:00 = 15:30Z']
  ],
  [
    'Chatham, whose clock leaves out 02:45 to 03:45',
    '0 3 * * *',
    'Pacific/Chatham',
    '2026-09-26T00:00Z',
    ['27 03:45 = 14:00Z', '28 03:00 = 13:15Z']
  ],
  [
    'Chatham, back',
    '0 3 * * *',
    'Pacific/Chatham',
    '2026-04-04T00:00Z',
    ['05 03:00 = 13:15Z', '06 03:00 = 14:15Z']
  ],
  [
    'Cairo, whose clock leaves out midnight',
    '0 0 * * *',
    'Africa/Cairo',
    '2026-04-22T00:00Z',
    ['23 00:00 = 22:00Z', '24 01:00 = 22:00Z', '25 00:00 = 21:00Z']
  ],
  [
    'Cairo, where the hour before midnight comes twice',
    '30 23 * * *',
    'Africa/Cairo',
    '2026-10-29T12:00Z',
    ['29 23:30 = 20:30Z', '30 23:30 = 21:30Z']
  ],
  [
    'Apia, which left out a day',
    '0 12 30 12 *',
    'Pacific/Apia',
    '2011-12-01T00:00Z',
    ['31 00:00 = 10:00Z', '30 12:00 = 22:00Z']
  ],
  ['a zone without changes', '0 6 * * 1-5', 'Asia/Kolkata', '2026-11-27T12:00Z', ['30 06:00 = 00:30Z']],
  [
    'either day, where both are given',
    '0 12 1 * 1',
    'UTC',
    '2026-11-26T00:00Z',
    ['30 12:00 = 12:00Z', '01 12:00 = 12:00Z', '07 12:00 = 12:00Z']
  ],
  [
    'the last day of the month',
    '0 0 L * *',
    'UTC',
    '2027-02-01T00:00Z',
    ['28 00:00 = 00:00Z', '31 00:00 = 00:00Z']
  ],
  ['29 February', '0 0 29 2 *', 'UTC', '2096-03-01T00:00Z', ['29 00:00 = 00:00Z']],
  [
    'names, a shortcut, and more than one space',
    ' 0  9 * jan Thu ',
    'UTC',
    '2026-12-31T00:00Z',
    ['07 09:00 = 09:00Z']
  ],
  ['a shortcut', '@Daily', 'UTC', '2026-12-31T00:00Z', ['01 00:00 = 00:00Z']]
]

for (const [promise, cron, timezone, after, expected] of table) {
  t.test(promise, async t => t.strictSame(runs(cron, timezone, after, expected.length), expected))
}

t.test('around clock changes, minute by minute, it agrees with reading the clock', async t => {
  for (const timezone of [
    'America/New_York',
    'Europe/London',
    'Australia/Lord_Howe',
    'Pacific/Chatham',
    'Africa/Cairo'
  ]) {
    const clock = new Intl.DateTimeFormat('en-GB', { timeZone: timezone, hour: '2-digit', minute: '2-digit' })
    // The days around changes of the clock, which all of these make in these months.
    for (const day of [
      '2026-03-07',
      '2026-03-28',
      '2026-04-04',
      '2026-04-23',
      '2026-09-26',
      '2026-10-03',
      '2026-10-24',
      '2026-10-29',
      '2026-10-31'
    ]) {
      const startMs = Date.parse(`${day}T00:00Z`)
      const shown: string[] = []
      for (let ms = startMs + 60_000; shown.length < 40; ms += 60_000) {
        if (/:(00|30)$/.test(clock.format(ms))) shown.push(new Date(ms).toISOString())
      }
      const computed: string[] = []
      for (let ms = startMs; computed.length < 40;) {
        computed.push(new Date((ms = nextTime('0,30 * * * *', timezone, ms))).toISOString())
      }
      t.strictSame(computed, shown, `${timezone} ${day}`)
      // With a fixed hour: one run a day and no more, whatever the clock does.
      for (let hour = 0; hour < 4; hour++) {
        let ms = nextTime(`30 ${hour} * * *`, timezone, startMs)
        for (let i = 0; i < 3; i++) {
          const next = nextTime(`30 ${hour} * * *`, timezone, ms)
          t.ok(Math.abs(next - ms - 86_400_000) <= 3_600_000, `${timezone} ${day} ${hour}:30`)
          ms = next
        }
      }
    }
  }
})

t.test('a schedule that cannot be kept is refused with the reason', async t => {
  const refused: [cron: string, why: RegExp, timezone?: string][] = [
    ['*/5 * * * * *', /finer than a minute/],
    ['FREQ=SECONDLY;INTERVAL=7', /finer than a minute/],
    ['@secondly', /finer than a minute/],
    ['FREQ=DAILY', /five fields/],
    ['* * * *', /five fields/],
    ['', /five fields/],
    ['@reboot', /five fields/],
    ['* * * * * * *', /five fields/],
    ['H 2 * * *', /has an H/],
    ['61 * * * *', /cannot be read/],
    ['x * * * *', /its minute is X,/],
    ['0 25 * * *', /cannot be read: its hour is 25, and that field takes 0 to 23,/],
    ['0 0 * * MON,XYZ', /its weekday is MON,XYZ,/],
    ['*/0 * * * *', /cannot be read/],
    ['0 0 31 2 *', /cannot be read: none of its months has such a day\./],
    ['0 0 * 2 1#5', /within 10 years/],
    ['0 0 29 2 1#5', /two schedules/],
    ['* * * * *', /time zone/, 'Europe/Lodnon'],
    ['* * * * *', /time zone/, 'constructor']
  ]
  for (const [cron, why, timezone = 'UTC'] of refused) {
    t.throws(
      () => nextTime(cron, timezone, Date.parse('2026-01-01')),
      { code: 'invalidSchedule', message: why },
      cron
    )
  }
})
