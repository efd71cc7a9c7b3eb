/** The charts of a queue's last hour, drawn by uPlot in the colours of the theme. */
import { html, useEffect, useRef } from './vendor/htm.js'
import { count, duration, rate } from './format.js'
import Plot from './vendor/uplot.js'

const clock = Plot.fmtDate('{HH}:{mm}')
const format = { count: (/** @type {number} */ n) => count(n), rate, duration }

/** What a colour of the style sheet comes to just now: a canvas knows no names. @param {string} name */
function colour(name) {
  const probe = document.createElement('span')
  probe.className = `probe ${name}`
  document.body.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found
}

/**
 * @param {{ title: string, unit: 'count' | 'rate' | 'duration', at: number[], lines: { label:
 * string, kind: string, values: (number | null)[] }[] }} props
 */
export function Chart({ title, unit, at, lines }) {
  const place = useRef(/** @type {any} */ (null))
  const plot = useRef(/** @type {Plot | null} */ (null))
  const data = /** @type {any} */ ([at, ...lines.map(({ values }) => values)])
  const write = format[unit]

  const draw = () => {
    plot.current?.destroy()
    const soft = colour('c-soft')
    const grid = { stroke: colour('c-line'), width: 1 }
    plot.current = new Plot(
      {
        width: place.current.clientWidth,
        height: 170,
        padding: [10, 16, 0, 0],
        cursor: { sync: { key: 'queue' }, points: { size: 6 }, drag: { x: false, y: false } },
        // Where no pointer is, the legend tells what holds now.
        hooks: {
          setLegend: [
            plot => {
              if (plot.legend.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 }, false)
            }
          ]
        },
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, unit === 'count' ? 4 : 1)] } },
        axes: [
          {
            stroke: soft,
            grid: { show: false },
            ticks: { show: false },
            values: (_plot, splits) => splits.map(second => clock(new Date(second * 1000))),
            font: '11px system-ui',
            size: 26
          },
          {
            stroke: soft,
            grid,
            ticks: { show: false },
            values: (_plot, splits) =>
              splits.map(value => (unit === 'count' && value % 1 !== 0 ? '' : write(value))),
            font: '11px system-ui',
            size: 62
          }
        ],
        series: [
          { value: (_plot, second) => (second == null ? '' : clock(new Date(second * 1000))) },
          ...lines.map(({ label, kind }) => ({
            label,
            stroke: colour(`c-${kind}`),
            width: 1.6,
            points: { show: false },
            value: (_plot, value) => (value == null ? '–' : write(value))
          }))
        ]
      },
      data,
      place.current
    )
    plot.current.setLegend({ idx: at.length - 1 }, false)
  }
  useEffect(() => {
    draw()
    const sizes = new ResizeObserver(() =>
      plot.current?.setSize({ width: place.current.clientWidth, height: 170 })
    )
    sizes.observe(place.current)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    addEventListener('themechange', draw)
    return () => {
      sizes.disconnect()
      scheme.removeEventListener('change', draw)
      removeEventListener('themechange', draw)
      plot.current?.destroy()
    }
  }, [])
  useEffect(() => {
    plot.current?.setData(data)
    plot.current?.setLegend({ idx: at.length - 1 }, false)
  }, [at])
  return html`<figure class="chart">
    <figcaption>${title}</figcaption>
    <div ref=${place}></div>
  </figure>`
}
