// Reads what `bun test --reporter=junit` writes: how many tests ran, and which were skipped.

/** The outcome of some tests. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  /** The names of the tests that were skipped, `todo` among them. */
  readonly skipped: readonly string[]
}

/** Reads one report. */
export function readReport(xml: string): Counts {
  const cases = [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)]
  const holding = (element: string) => cases.filter(([, , body]) => body?.includes(element))
  const skipped = holding('<skipped').map(([, attributes = '']) => nameOf(attributes))
  const failed = holding('<failure').length + holding('<error').length
  return { passed: cases.length - failed - skipped.length, failed, skipped }
}

/** `group > test`, as Bun prints it. */
function nameOf(attributes: string): string {
  const [group, name] = ['classname', 'name'].map(
    (key) => new RegExp(`(?:^| )${key}="([^"]*)"`).exec(attributes)?.[1],
  )
  return unescapeXml([group, name].filter(Boolean).join(' > '))
}

const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  amp: '&',
}

function unescapeXml(text: string): string {
  return text.replace(/&(\w+);/g, (whole, entity: string) => ENTITIES[entity] ?? whole)
}
