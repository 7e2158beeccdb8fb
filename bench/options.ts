// The flags of the benchmark, and what they stand for.

import { parseArgs } from 'node:util'

/** How much is measured. */
export interface Options {
  /** How often the whole circuit is repeated. */
  readonly rounds: number
  /** Length of one burst of load. */
  readonly seconds: number
  /** In how many of the rounds the starts are timed too. */
  readonly startRounds: number
  /** How long everything is warmed up: the light requests at the same time, then the others in turn. */
  readonly warmUpSeconds: number
  /** Where the Markdown goes, if anywhere. */
  readonly out: string | undefined
}

export const HELP = `npm run bench [-- options]

  --quick        about 25 seconds instead of about 3 minutes; for a first look only
  --rounds N     repeat everything N times (5)
  --seconds N    length of each burst of load (3)
  --out FILE     write the report as Markdown too
  --help         this text`

/** Reads the flags. Throws when one is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const rounds = wholeNumber('rounds', values.rounds, { usual: values.quick ? 2 : 5, most: 100 })
  return {
    rounds,
    seconds: wholeNumber('seconds', values.seconds, { usual: values.quick ? 1 : 3, most: 60 }),
    startRounds: values.quick ? 1 : rounds,
    warmUpSeconds: values.quick ? 1 : 6,
    out: values.out,
  }
}

function wholeNumber(
  name: string,
  text: string | undefined,
  { usual, most }: { usual: number; most: number },
): number {
  const value = text === undefined ? usual : Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new Error(`--${name} takes a whole number from 1 to ${most}`)
}
