// Histograms that every request pays for. prom-client sorts, joins and looks up the labels of each observation; here a
// series is found once, and observing adds to three numbers. prom-client prints them with all others.

/** Names and values of labels, in the order in which they are printed. */
export type Labels = Readonly<Record<string, string>>

/** The observations with the same labels. */
export interface Series {
  /** Counts one observation, in seconds. */
  observe(seconds: number): void
}

/** A histogram, and what prom-client asks of a metric. */
export interface Histogram extends Printed {
  /** The series with these labels. It is printed from now on, at 0 until something is observed. */
  series(labels: Labels): Series
  /** How often each series was observed, as a metric of its own. */
  total(name: string, help: string): Printed
}

/** A metric as prom-client's registry takes it: a name, and what to print when it is asked for. */
export interface Printed {
  readonly name: string
  get(): Promise<{
    readonly name: string
    readonly help: string
    readonly type: string
    readonly values: readonly Value[]
  }>
}

interface Value {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** `buckets`: upper bounds in seconds, in ascending order; one without a bound is added. */
export interface HistogramOptions {
  readonly name: string
  readonly help: string
  readonly buckets: readonly number[]
}

/** Makes one without series. */
export function createHistogram({ name, help, buckets }: HistogramOptions): Histogram {
  const known = new Map<string, Counts>()

  return {
    name,
    series(labels) {
      const key = JSON.stringify(labels)
      const counts = known.get(key) ?? createCounts(labels, buckets)
      known.set(key, counts)
      return counts
    },
    async get() {
      const values = [...known.values()].flatMap((counts) => valuesOf(name, buckets, counts))
      return { name, help, type: 'histogram', values }
    },
    total: (of, its) => ({
      name: of,
      async get() {
        const values = [...known.values()].map(({ labels, each }) => ({
          metricName: of,
          labels,
          value: each.reduce((sum, n) => sum + n, 0),
        }))
        return { name: of, help: its, type: 'counter', values }
      },
    }),
  }
}

interface Counts extends Series {
  readonly labels: Labels
  /** Observations in each bucket alone; the last is for those above every bound. */
  readonly each: readonly number[]
  readonly sum: () => number
}

function createCounts(labels: Labels, buckets: readonly number[]): Counts {
  const each = new Array<number>(buckets.length + 1).fill(0)
  let sum = 0
  return {
    labels,
    each,
    sum: () => sum,
    observe(seconds) {
      let bucket = 0
      while (seconds > (buckets[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1
      each[bucket] = (each[bucket] ?? 0) + 1
      sum += seconds
    },
  }
}

/** As Prometheus wants them: each bucket includes all below it. */
function valuesOf(
  name: string,
  buckets: readonly number[],
  { labels, each, sum }: Counts,
): Value[] {
  let count = 0
  const cumulative = each.map((n, i): Value => {
    count += n
    return {
      metricName: `${name}_bucket`,
      labels: { le: buckets[i] ?? '+Inf', ...labels },
      value: count,
    }
  })
  return [
    ...cumulative,
    { metricName: `${name}_sum`, labels, value: sum() },
    { metricName: `${name}_count`, labels, value: count },
  ]
}
