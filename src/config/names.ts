// Unknown names: a misspelt setting must not silently have no effect.

import { NAMES, SETTINGS, variableOf } from './table.ts'
import { PREFIX } from './values.ts'

/** A fault for each variable that has our prefix but is no setting, with the likely name. An empty variable counts as not set. */
export function unknownNames(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = NAMES.flatMap((name) => {
    const variable = variableOf(name)
    return 'secret' in SETTINGS[name] ? [variable, `${variable}_FILE`] : [variable]
  })
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && environment[name] && !known.includes(name))
    .map((name) => `${name}: unknown setting${didYouMean(name, known)}`)
}

function didYouMean(name: string, known: readonly string[]): string {
  const nearest = known.map((k) => ({ k, d: distance(name, k) })).sort((a, b) => a.d - b.d)[0]
  return nearest && nearest.d <= 4 ? ` (did you mean ${nearest.k}?)` : ''
}

/** Levenshtein's edit distance, one row at a time. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}
