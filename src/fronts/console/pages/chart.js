/** A chart of a queue's last hour, drawn by uPlot in the colours of the theme. */
import { html, useEffect, useRef } from './vendor/htm.js'
import { hourMinute, zoneLabel } from './clock.js'
import { count, duration, rate } from './format.js'
import Plot from './vendor/uplot.js'

/** @typedef {'count' | 'rate' | 'duration'} Unit */
/** @typedef {{ label: string, kind: string, values: (number | null)[] }} Line */

const height = 170
const font = '11px system-ui'
const writers = { count: (/** @type {number} */ n) => count(n), rate, duration }

/**
 * The colour that a class of the style sheet has now: a canvas knows no names of colours.
 * @param {string} name
 */
function colour(name) {
  const probe = document.createElement('span')
  probe.className = `probe ${name}`
  document.body.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found
}

/**
 * @param {Unit} unit
 * @param {Line[]} lines
 * @param {number} width
 * @returns {Plot.Options}
 */
function optionsOf(unit, lines, width) {
  return {
    width,
    height,
    padding: [10, 16, 0, 0],
    cursor: { sync: { key: 'queue' }, points: { size: 6 }, drag: { x: false, y: false } },
    // While no pointer is on the chart, the legend shows the latest values.
    hooks: {
      setLegend: [
        plot => {
          if (plot.legend.idx == null) plot.setLegend({ idx: plot.data[0].length - 1 }, false)
        }
      ]
    },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, unit === 'count' ? 4 : 1)] } },
    axes: axesOf(unit),
    series: [
      { value: (_plot, second) => (second == null ? '' : hourMinute(second)) },
      ...lines.map(({ label, kind }) => ({
        label,
        stroke: colour(`c-${kind}`),
        width: 1.6,
        points: { show: false },
        value: (/** @type {Plot} */ _plot, /** @type {number} */ value) =>
          value == null ? '–' : writers[unit](value)
      }))
    ]
  }
}

/**
 * @param {Unit} unit
 * @returns {Plot.Axis[]}
 */
function axesOf(unit) {
  const axis = { stroke: colour('c-soft'), ticks: { show: false }, font }
  const write = (/** @type {number} */ value) =>
    unit === 'count' && value % 1 !== 0 ? '' : writers[unit](value)
  return [
    { ...axis, grid: { show: false }, values: (_plot, splits) => splits.map(hourMinute), size: 26 },
    {
      ...axis,
      grid: { stroke: colour('c-line'), width: 1 },
      values: (_plot, splits) => splits.map(write),
      size: 62
    }
  ]
}

/** @param {{ title: string, unit: Unit, at: number[], lines: Line[] }} props */
export function Chart({ title, unit, at, lines }) {
  const place = useRef(/** @type {any} */ (null))
  const plot = useRef(/** @type {Plot | null} */ (null))
  const data = /** @type {any} */ ([at, ...lines.map(({ values }) => values)])
  const showLatest = () => plot.current?.setLegend({ idx: at.length - 1 }, false)
  const draw = () => {
    plot.current?.destroy()
    plot.current = new Plot(optionsOf(unit, lines, place.current.clientWidth), data, place.current)
    showLatest()
  }
  // A redraw, however late, draws the newest values.
  const newestDraw = useRef(draw)
  newestDraw.current = draw
  useEffect(() => {
    draw()
    const redraw = () => newestDraw.current()
    const sizes = new ResizeObserver(() =>
      plot.current?.setSize({ width: place.current.clientWidth, height })
    )
    sizes.observe(place.current)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', redraw)
    addEventListener('themechange', redraw)
    addEventListener('clockchange', redraw)
    return () => {
      sizes.disconnect()
      scheme.removeEventListener('change', redraw)
      removeEventListener('themechange', redraw)
      removeEventListener('clockchange', redraw)
      plot.current?.destroy()
    }
  }, [])
  useEffect(() => {
    plot.current?.setData(data)
    showLatest()
  }, [at])
  return html`<figure class="chart">
    <figcaption>${title} <small>last hour, ${zoneLabel()}</small></figcaption>
    <div ref=${place}></div>
  </figure>`
}
