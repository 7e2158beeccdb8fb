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
  /** Logins and signups at once. */
  readonly logins: number
  /** Whether other servers run beside ours. */
  readonly peers: boolean
  /** Whether Envoy with three replicas is measured. */
  readonly edge: boolean
  /** Whether flood and curves follow the rounds. */
  readonly overload: boolean
  /** Where the Markdown goes, if anywhere; the plot goes beside it. */
  readonly out: string | undefined
}

export const HELP = `npm run bench [-- options]

  --peers        measure better-auth, PocketBase and Django too; fetches them the first time
  --quick        about a minute: no flood, no curves, two short rounds; for a first look only
  --rounds N     repeat everything N times (5)
  --seconds N    length of each burst of load (2)
  --logins N     logins at once in a burst (8); fewer where the machine is too busy for eight
  --no-edge      leave Envoy out
  --no-overload  leave flood and curves out
  --out FILE     write the report as Markdown too, and the plot beside it as .svg
  --help         this text`

/** Reads the flags. Throws when one is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const text = { type: 'string' } as const
  const off = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ quick: off, peers: off, help: off, 'no-edge': off, 'no-overload': off },
      ...{ rounds: text, seconds: text, logins: text, out: text },
    },
  })
  if (values.help) return 'help'
  const { quick } = values
  const rounds = wholeNumber('rounds', values.rounds, { usual: quick ? 2 : 5, most: 100 })
  return {
    rounds,
    seconds: wholeNumber('seconds', values.seconds, { usual: quick ? 1 : 2, most: 60 }),
    logins: wholeNumber('logins', values.logins, { usual: 8, most: 64 }),
    startRounds: quick ? 1 : rounds,
    warmUpSeconds: quick ? 1 : 4,
    peers: values.peers,
    edge: !values['no-edge'],
    overload: !quick && !values['no-overload'],
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
