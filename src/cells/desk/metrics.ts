/** The metrics of all cells on one page, each sample with the label `cell`. */

interface Family {
  /** Its lines of help and type. */
  head: string[]
  samples: string[]
}

const samplePattern = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (.*)$/

/** Joins pages of metrics. null: the cell did not answer. */
export function joinMetrics(pages: Map<string, string | null>): string {
  const families = new Map<string, Family>()
  const up = familyOf(families, 'holdfast_cell_up')
  up.head.push('# HELP holdfast_cell_up Whether the cell answered.', '# TYPE holdfast_cell_up gauge')
  for (const [cell, page] of pages) {
    up.samples.push(`holdfast_cell_up{cell="${cell}"} ${page === null ? 0 : 1}`)
    if (page !== null) addPage(families, cell, page)
  }
  return [...families.values()].flatMap(({ head, samples }) => [...head, ...samples, '']).join('\n')
}

function familyOf(families: Map<string, Family>, name: string): Family {
  const family = families.get(name) ?? { head: [], samples: [] }
  families.set(name, family)
  return family
}

function addPage(families: Map<string, Family>, cell: string, page: string): void {
  const known = new Set(families.keys())
  let name = ''
  for (const line of page.split('\n')) {
    const head = /^# (?:HELP|TYPE) (\S+)/.exec(line)
    if (head !== null) {
      name = head[1]!
      // What a family is, the first cell has said.
      if (!known.has(name)) familyOf(families, name).head.push(line)
      continue
    }
    const sample = samplePattern.exec(line)
    if (sample === null) continue
    const [, metric = '', labels, value = ''] = sample
    const all = [`cell="${cell}"`, ...(labels ? [labels] : [])].join(',')
    familyOf(families, name === '' ? metric : name).samples.push(`${metric}{${all}} ${value}`)
  }
}
